"""What the answers of Unstract's platform API show: lists that consume nothing.

``execution/`` lists the executions of all deployments of an organization, ``usage/``
the calls to models of one execution, ``api/deployment/`` the deployments.
"""

from collections.abc import Callable, Mapping

from sources.json_text import Fault, canonical_sha256, decode, pointer
from sources.observations import Observation, Sight
from sources.records import Response, execution_key, workflow_key
from sources.rows import listed, loose_reject, request_key_of
from sources.unstract.verdicts import detail, listed_verdict
from sources.values import MisfitError, text_or_none, timestamp
from sources.watched import watched

__all__ = [
    "PAGE",
    "is_ours",
    "read_deployments",
    "read_executions",
    "read_usage",
    "scope_of",
]

PAGE = "page"
"""Name of the observation of a page, or of what in it is no execution of ours."""


def scope_of(response: Response) -> str:
    """Return the deployment that a request was about, or as much as is known."""
    known = _params(response)
    if isinstance(known.get("scope"), str):
        return str(known["scope"])
    named = (text_or_none(known.get(name)) for name in ("organization_id", "api_name"))
    return "/".join(name for name in named if name)


def _params(response: Response) -> Mapping[str, object]:
    params = decode(response.params.encode()).value
    return params if isinstance(params, dict) else {}


def is_ours(response: Response) -> Callable[[object], bool]:
    """Return what tells whether a listed execution is of the deployment asked for."""
    pipelines = _params(response).get("pipeline_ids")
    ours = pipelines if isinstance(pipelines, list) else []

    def is_of_it(item: object) -> bool:
        pipeline = item.get("pipeline_id") if isinstance(item, dict) else None
        return pipeline is not None and pipeline in ours

    return is_of_it


def read_executions(response: Response, value: object) -> Sight | None:
    """Read a page of the list of executions."""
    if not isinstance(value, dict) or not isinstance(value.get("results"), list):
        return None
    is_of_it, scope = is_ours(response), scope_of(response)

    def see(item: object, path: str, hashed: str) -> Observation | str | None:
        return _item(response, scope, item, path, hashed) if is_of_it(item) else None

    request = request_key_of(response, scope)
    found = list(listed(request, value["results"], pointer("results"), see))
    others = [item for item in value["results"] if not is_of_it(item)]
    if others:
        found.append(_page(response, others))
    return Sight(
        outcome="ok", observations=found, answered=_envelope(value), listing="paged"
    )


def _envelope(value: Mapping[str, object]) -> dict[str, object]:
    return {name: said for name, said in value.items() if name != "results"}


def _page(response: Response, value: object) -> Observation:
    """Return the observation of what is kept as it is, beside all executions."""
    return Observation(
        kind="request",
        key=request_key_of(response, scope_of(response)),
        pointer="",
        sha256=canonical_sha256(value),
        name=PAGE,
    )


def _item(
    response: Response, scope: str, item: object, at: str, hashed: str
) -> Observation | str:
    """Return what a listed execution of ours shows, or why it can be none."""
    known = item if isinstance(item, dict) else {}
    execution_id = text_or_none(known.get("id"))
    if not execution_id:
        return "missing_id"
    verdict = listed_verdict(known)
    try:
        created = timestamp(known.get("created_at"))
    except MisfitError:
        created = None
    return Observation(
        kind="item",
        key=execution_key(response.provider, response.connection, scope, execution_id),
        pointer=at,
        sha256=hashed,
        status=verdict.status,
        provider_status=verdict.word,
        result_state=verdict.result_state,
        is_terminal=verdict.is_terminal,
        at=created,
        scope=scope,
        name=execution_id,
    )


def read_usage(response: Response, value: object) -> Sight | None:
    """Read a page of an execution's usage; the last one shows the execution whole.

    The pages before it are kept as they are: theirs is the context of the last.
    """
    if not isinstance(value, dict) or not isinstance(value.get("results"), list):
        return None
    known = watched(response)
    if known.context.get("complete") is True and known.execution_id:
        listed = known.context.get("listed")
        verdict = listed_verdict(listed if isinstance(listed, dict) else {})
        seen = detail(response, known, known.execution_id, verdict, value)
    else:
        seen = _page(response, value)
    return Sight(outcome="ok", observations=[seen], answered=_envelope(value))


def read_deployments(response: Response, value: object) -> Sight | None:
    """Read the list of API deployments: a bare list, or a page of one."""
    given = value.get("results") if isinstance(value, dict) else value
    at = pointer("results") if isinstance(value, dict) else ""
    if not isinstance(given, list):
        return None
    found: dict[str, Observation] = {}
    for place, deployment in enumerate(given):
        seen = _deployment(response, deployment, at + pointer(place))
        if found.setdefault(seen.key, seen) is not seen:
            fault = Fault(seen.pointer, "duplicate_id", seen.sha256)
            seen = loose_reject(request_key_of(response, scope_of(response)), fault)
            found.setdefault(seen.key, seen)
    answered = _envelope(value) if isinstance(value, dict) else {}
    return Sight(outcome="ok", observations=list(found.values()), answered=answered)


def _deployment(response: Response, value: object, at: str) -> Observation:
    hashed = canonical_sha256(value)
    name = text_or_none(value.get("api_name")) if isinstance(value, dict) else None
    if not name:
        reason = "missing_id" if isinstance(value, dict) else "not_an_object"
        request = request_key_of(response, scope_of(response))
        return loose_reject(request, Fault(at, reason, hashed))
    organization = text_or_none(_params(response).get("organization_id")) or ""
    workflow_id = f"{organization}/{name}"
    key = workflow_key(response.provider, response.connection, workflow_id)
    return Observation(
        kind="workflow", key=key, pointer=at, sha256=hashed, name=workflow_id
    )
