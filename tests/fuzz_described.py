"""Requests that schemathesis makes from the description of the HTTP interface: row C1 of the reliability matrix."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import schemathesis
from schemathesis.checks import CheckContext, not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.specs.openapi.checks import positive_data_acceptance

OURS = ("no_fault_of_the_server", "no_fault_of_form_where_there_is_none")
"""Checks that take the place of two of schemathesis's, which know statuses but not our codes."""

_OF_FORM = {"validation", "invalid_json", "unsupported_media_type"}
"""Codes of what a description can promise; that a quote does not stand at its place, it cannot."""


@schemathesis.check
def no_fault_of_the_server(ctx: CheckContext, response: schemathesis.Response, case: schemathesis.Case) -> bool | None:
    """A status of 500 or more, but where no time was given to answer in."""
    if _code(response) == "out_of_time":
        return None
    return not_a_server_error(ctx, response, case)


@schemathesis.check
def no_fault_of_form_where_there_is_none(
    ctx: CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> bool | None:
    """What is as it is described may be refused for what it means, not for its form."""
    if response.status_code == 422 and _code(response) not in _OF_FORM:
        return None
    return positive_data_acceptance(ctx, response, case)


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """What was sent: how many requests of each phase and to each operation, the statuses, and what was wrong."""

    phases: Counter[str]
    operations: Counter[str]
    statuses: Counter[int]
    failures: list[str]


def fuzz(port: int, cases: int, seed: int | None) -> Fuzzed:
    """Examples, boundary values, `cases` random requests for each operation, NUL among their characters, and sequences
    of operations that belong together.

    With a seed what was answered leads to further requests. Without one they are as much the same every time as those
    can be that take ids out of responses.
    """
    same = seed is None
    unlearned = {"extra-data-sources": {"responses": not same}}
    config = SchemathesisConfig.from_dict(
        {
            "seed": seed or 0,
            "generation": {"max-examples": cases, "deterministic": same, "database": "none", "allow-x00": True},
            "checks": {"not_a_server_error": {"enabled": False}, "positive_data_acceptance": {"enabled": False}},
            "phases": {
                "examples": unlearned,
                "coverage": unlearned,
                "fuzzing": {**unlearned, "error-feedback": {"enabled": not same}},
                "stateful": {"link-calibration": not same},
            },
        }
    )
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json", config=config)
    fuzzed = Fuzzed(Counter(), Counter(), Counter(), [])
    for event in from_schema(schema).execute():
        match event:
            case events.ScenarioFinished(phase=phase, recorder=recorder):
                fuzzed.phases[phase.value] += len(recorder.interactions)
                for id, one in recorder.interactions.items():
                    fuzzed.operations[recorder.cases[id].value.operation.label] += 1
                    fuzzed.statuses[one.response.status_code if one.response else 0] += 1
                fuzzed.failures.extend(_failures(recorder))
            case events.NonFatalError() | events.FatalError():
                fuzzed.failures.append(str(event))
    return fuzzed


def _failures(recorder: ScenarioRecorder) -> Iterator[str]:
    for id, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is not None:
                response = recorder.find_response(case_id=id)
                said = response.content[:500].decode(errors="replace") if response else "no response"
                failure = check.failure_info.failure
                yield f"{check.name}: {failure.title}\n{failure.message}\n{check.failure_info.code_sample}\n{said}"


def _code(response: schemathesis.Response) -> str:
    """Of an error; empty where it is none of ours."""
    try:
        code: str = response.json()["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return ""
    return code
