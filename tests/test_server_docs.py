import re
from base64 import b64encode
from hashlib import sha256
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


def test_the_page_runs_its_own_scripts_alone(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        response = client.get("/docs")
    policy = response.headers["content-security-policy"]
    [script] = re.findall(r"<script>(.*?)</script>", response.text, re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert not re.findall(r" on\w+=", response.text)


def test_assets_are_no_way_to_other_files(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        assert client.get("/docs/assets/../core.py").status_code == 404
        assert client.get("/docs/assets/%2e%2e/core.py").status_code == 404
