"""Train the embedder further: `python -m eval.train_embedder OUT`. Needs the benchmark data beside the checkout.

It begins with all-MiniLM-L6-v2 and learns from SQuAD's training questions to tell the passage that answers from one
that merely looks so, the best that a search finds and that does not hold the answer, and from all others of the batch.
"""

import argparse
import random
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from eval.bench_data import DATA
from eval.gold import GoldQuestion, read_gold
from eval.misses import holds
from index.article import Article
from index.batch import embedded_text
from index.embed import embedder_folder, export_embedder, load_embedder, load_torch
from index.formats import read_file
from index.library import Library
from index.onnx import cores
from index.passage import Passage
from qa.training.labels import words
from qa.training.result import halved

TRAIN = DATA / "squad" / "train-v1.1.json"
BUILD = Path("build/train-embedder")
"""Where the library is kept in which wrong passages are looked for; it takes ten minutes to make."""

_SHAPE = ("modules.json", "sentence_bert_config.json", "config.json", "tokenizer.json", "tokenizer_config.json")
_HITS = 10
_HARD_TIMES = 3
"""How often a question is there for which a wrong passage is found before the right one: a fifth of them."""

_BATCH = 24
_RATE = 4e-5
_WARM_UP_STEPS = 30
_SCALE = 20.0
"""Of cosines, before a softmax over a batch's passages: as all-MiniLM-L6-v2 was trained."""

_WEIGHT_DECAY = 0.01
_LARGEST_GRADIENT = 1.0
_LINE_STEPS = 20


@dataclass(frozen=True, slots=True)
class Triplet:
    """A question, the passage that answers it, and a better or nearly as good match that does not; as texts for the
    embedder."""

    question: str
    right: str
    wrong: str
    hard: bool


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m eval.train_embedder", description=__doc__)
    parser.add_argument("out", type=Path, help="a folder that is not there yet, for the embedder")
    parser.add_argument("--minutes", type=float, default=45, help="after the triplets are made")
    parser.add_argument("--questions", type=int, default=16_000, help="of SQuAD's 87,433")
    parser.add_argument("--seed", type=int, default=2)
    options = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"skipped: the benchmark data is not at {DATA}")
    if options.out.exists():
        parser.error(f"{options.out} is there already")  # better now than after half an hour
    base = embedder_folder()
    questions = read_gold(TRAIN)
    random.Random(options.seed).shuffle(questions)
    with Library(BUILD, load_embedder(), create=True) as library:
        library.add(item for item in read_file(TRAIN) if isinstance(item, Article))
        triplets = list(mined(library, questions[: options.questions]))
    print(f"{len(triplets):,} triplets, {sum(one.hard for one in triplets):,} hard", flush=True)
    torch.manual_seed(options.seed)
    write(trained(base, triplets, options.minutes, options.seed), base, options.out)
    print(f"the embedder is in {options.out}")


def mined(library: Library, questions: Sequence[GoldQuestion]) -> Iterator[Triplet]:
    """Of the questions whose right passage is among the hits, with the best hit in which no answer occurs."""
    for gold in questions:
        hits = library.search(gold.question, _HITS)
        right = next((hit for hit in hits if holds(hit.passage, gold)), None)
        wrong = next((hit for hit in hits if not _may_answer(hit.passage, gold)), None)
        if right is not None and wrong is not None:
            answering, other = embedded_text(right.passage), embedded_text(wrong.passage)
            yield Triplet(gold.question, answering, other, hard=hits.index(wrong) < hits.index(right))


def _may_answer(passage: Passage, gold: GoldQuestion) -> bool:
    """Whether it is the right passage, or another in which an accepted answer occurs."""
    return holds(passage, gold) or any(words(answer) <= words(passage.text) for answer in gold.answers)


def trained(base: Path, triplets: Sequence[Triplet], minutes: float, seed: int) -> SentenceTransformer:
    """The model in `base` after so many minutes, the rate going down to zero in them. As it was loaded it drops
    nothing out. Its word embeddings stay: few words are in these questions, and all of them in somebody's articles."""
    torch.set_num_threads(cores())  # a search by FAISS in this thread has left it one
    model = load_torch(base)
    _encoder(model).embeddings.requires_grad_(False)
    parameters = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=_RATE, weight_decay=_WEIGHT_DECAY)
    lose = MultipleNegativesRankingLoss(model, scale=_SCALE)
    drawn = list(chain.from_iterable(repeat(one, _HARD_TIMES if one.hard else 1) for one in triplets))
    random.Random(seed).shuffle(drawn)
    began, step, mean = monotonic(), 0, 0.0
    while (share := (monotonic() - began) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = _RATE * min((step + 1) / _WARM_UP_STEPS, 1) * (1 - share)
        batch = [drawn[(step * _BATCH + number) % len(drawn)] for number in range(_BATCH)]
        columns = zip(*((one.question, one.right, one.wrong) for one in batch), strict=True)
        loss = lose([model.preprocess(list(texts)) for texts in columns], torch.empty(0))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, _LARGEST_GRADIENT)
        optimizer.step()
        mean += (loss.item() - mean) * max(1 / (step + 1), 0.03)
        if step % _LINE_STEPS == 0:
            print(f"{share:4.0%}  step {step:,}  loss {mean:.3f}", flush=True)
        step += 1
    return model


def write(model: SentenceTransformer, base: Path, out: Path) -> None:
    """The weights, in fp16, with what `base` says of the model's shape, and the graph."""
    (out / "1_Pooling").mkdir(parents=True)
    for name in (*_SHAPE, "1_Pooling/config.json"):
        shutil.copyfile(base / name, out / name)
    (out / "model.safetensors").write_bytes(halved(_encoder(model).state_dict()))
    export_embedder(str(out))


def _encoder(model: SentenceTransformer) -> Any:
    """What is below pooling and normalisation."""
    return model[0].auto_model


if __name__ == "__main__":
    main()
