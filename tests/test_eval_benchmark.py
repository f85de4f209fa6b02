"""The benchmark's own logic; its figures are not for tests."""

import json
import sys
from pathlib import Path

import pytest

from eval import bench_data, benchmark
from eval.benchmark import reciprocal_rank
from eval.gold import read_gold, sampled
from index.article import Article
from index.formats import read_file


def test_reciprocal_rank_by_hand() -> None:
    dense = {1: 0.9, 2: 0.8, 3: 0.7}  # ranks 1, 2, 3
    lexical = {3: 12.0, 4: 11.0, 1: 2.0}  # ranks 1, 2, 3
    assert reciprocal_rank(dense, lexical) == [
        (1, pytest.approx(1 / 61 + 1 / 63)),
        (3, pytest.approx(1 / 63 + 1 / 61)),
        (2, pytest.approx(1 / 62)),
        (4, pytest.approx(1 / 62)),
    ]


def test_reciprocal_rank_with_another_constant_and_ties() -> None:
    assert reciprocal_rank({7: 0.5, 5: 0.5}, {}, constant=0) == [(5, 1.0), (7, 0.5)]
    assert reciprocal_rank({}, {}) == []


def test_without_the_data_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(benchmark, "DATA", tmp_path / "none")
    monkeypatch.setattr(sys, "argv", ["benchmark", "squad"])
    with pytest.raises(SystemExit, match=r"skipped: the benchmark data is not at .*none"):
        benchmark.main()


def test_unknown_part_is_told_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmark, "DATA", tmp_path)
    monkeypatch.setattr(sys, "argv", ["benchmark", "nonsense"])
    with pytest.raises(SystemExit, match="2"):
        benchmark.main()
    assert "nonsense" in capsys.readouterr().err


def test_parts_run_in_the_order_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[tuple[str, Path, int]] = []
    for part in ("news", "squad"):
        monkeypatch.setitem(
            benchmark.PARTS, part, lambda libraries, sample, part=part: ran.append((part, libraries, sample))
        )
    monkeypatch.setattr(benchmark, "DATA", tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["benchmark", "squad", "news", "--sample", "7", "--libraries", str(tmp_path / "x")]
    )
    benchmark.main()
    assert ran == [("squad", tmp_path / "x", 7), ("news", tmp_path / "x", 7)]
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("##")] == ["## squad", "## news"]


def test_questions_whose_answer_is_in_no_article_count_as_having_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "news").mkdir()
    records = [
        {"question": "Where?", "answers": ["Oslo"], "answer_in": ["a"]},
        {"question": "Who?", "answers": ["Oslo"], "answer_in": []},
    ]
    (tmp_path / "news" / "questions.jsonl").write_text("\n".join(map(json.dumps, records)))
    monkeypatch.setattr(bench_data, "DATA", tmp_path)
    assert [(gold.question, gold.answers) for gold in bench_data.news_questions()] == [
        ("Where?", ("Oslo",)),
        ("Who?", ()),
    ]


def test_news_are_halved_by_their_dates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "news").mkdir()
    days = ["2022/07/01", "2022/06/17", "2022/06/30", "2022/07/01", "2022/07/08"]
    records = [
        {"question": f"{day} {n}?", "answers": ["a"], "date": day, "answer_in": ["x", "y"]}
        for n, day in enumerate(days)
    ]
    (tmp_path / "news" / "questions.jsonl").write_text("\n".join(map(json.dumps, records)))
    monkeypatch.setattr(bench_data, "DATA", tmp_path)
    earlier, later = ([gold.question for gold in half] for half in bench_data.news_halves())
    assert earlier == ["2022/06/17 1?", "2022/06/30 2?"]
    assert later == ["2022/07/01 0?", "2022/07/01 3?", "2022/07/08 4?"]
    assert bench_data.write_distant_labels(tmp_path / "labels.jsonl") == 4
    assert [(gold.question, gold.article) for gold in read_gold(tmp_path / "labels.jsonl")] == [
        (question, article) for question in earlier for article in ("x", "y")
    ]


def test_sample_is_the_same_each_time_and_none_is_all() -> None:
    items = list(range(50))
    assert sampled(items, 3) == sampled(items, 3) == [24, 48, 26]
    assert sampled(items, None) == items
    assert sampled(items, 50) == items


@pytest.mark.shared
def test_gold_offsets_of_squad_match_the_articles_made_of_the_same_file() -> None:
    file = Path(__file__).parents[1] / bench_data.DATA / "squad" / "dev-v1.1.json"
    if not file.is_file():
        pytest.skip(f"the benchmark data is not at {file}")
    texts = {item.id: item.text for item in read_file(file) if isinstance(item, Article)}
    gold = read_gold(file)
    misplaced = [
        one
        for one in gold
        if one.article is None or one.start is None or not texts[one.article].startswith(one.answers[0], one.start)
    ]
    assert (len(texts), len(gold), misplaced) == (23, 5_191, [])
