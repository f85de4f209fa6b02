import re
from pathlib import Path

from test_server_toys import serving


def test_page_and_all_it_loads_come_from_this_server(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        page = client.get("/docs").text
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
        assert loaded == [
            "/docs/assets/swagger-ui.css",
            "/docs/assets/favicon.png",
            "/docs/assets/swagger-ui-bundle.js",
        ]
        assert "https://" not in page
        assert [client.get(path).status_code for path in loaded] == [200, 200, 200]


def test_assets_are_no_way_to_other_files(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        assert client.get("/docs/assets/../core.py").status_code == 404
        assert client.get("/docs/assets/%2e%2e/core.py").status_code == 404
