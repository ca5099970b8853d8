"""Made-up answers of providers, the same for the same number: pages and results."""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

__all__ = [
    "BEGIN",
    "TASKS",
    "discuro_results",
    "task_id",
    "torale_pages",
    "unstract_results",
]

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
PAGE = 100
TASKS = 20
_THRESHOLD = 500
_FAILING = 0.05


def _id(*parts: object) -> str:
    """Return a UUID that is the same for the same parts."""
    return str(
        UUID(hashlib.md5(repr(parts).encode(), usedforsecurity=False).hexdigest())
    )


def _at(seconds: float) -> str:
    return (BEGIN + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def task_id(number: int) -> str:
    """Return the id of a task of Torale."""
    return _id("task", number)


def torale_pages(executions: int, changed: int = 0) -> Iterator[tuple[str, int, bytes]]:
    """Yield task, page number and body of the listings of 20 tasks, pages of 100.

    With ``changed``, only the first pages, so many executions in all, each of which
    says something else than before.
    """
    per_task = executions // TASKS
    shown = changed // TASKS or per_task
    for task in range(TASKS):
        of = task_id(task)
        chance = Random(task)  # noqa: S311 - seeded invention
        for first in range(0, shown, PAGE):
            rows = [
                _execution(of, task, number, chance)
                for number in range(first, min(first + PAGE, shown))
            ]
            for row in rows if changed else ():
                row["change_summary"] = "Looked at again"
            body = {
                "executions": rows,
                "total": per_task,
                "page": first // PAGE + 1,
                "limit": PAGE,
            }
            yield of, first // PAGE + 1, json.dumps(body).encode()


def _execution(of: str, task: int, number: int, chance: Random) -> dict[str, object]:
    """Return one execution of a list, newest first, with three sources."""
    started = 23_000_000 - number * 60 - task
    price = chance.randrange(400, 600)
    is_met = price < _THRESHOLD
    failed = chance.random() < _FAILING
    sources = [
        {
            "uri": f"https://shop{chance.randrange(500)}.example.com/item?n={number}",
            "title": f"Phones at shop {number % 17}: all prices compared",
        }
        for _ in range(3)
    ]
    answer = f"The cheapest phone in stock costs ${price} before tax at the moment."
    verdict = "is met" if is_met else "is not met"
    return {
        "id": _id(of, number),
        "task_id": of,
        "status": "failed" if failed else "success",
        "started_at": _at(started + 0.25),
        "completed_at": _at(started + 0.25 + chance.random() * 20),
        "condition_met": None if failed else is_met,
        "result": None
        if failed
        else {
            "answer": answer,
            "reasoning": f'The condition "the price is below $500" {verdict}.',
            "condition_met": is_met,
        },
        "change_summary": f"Lowest price changed from ${price + 7} to ${price}",
        "grounding_sources": [] if failed else sources,
        "error_message": "Search timed out after 30 seconds" if failed else None,
        "created_at": _at(started),
    }


def unstract_results(results: int, files: int = 10) -> Iterator[tuple[str, bytes]]:
    """Yield id and body of finished results with so many files each."""
    for number in range(results):
        execution_id = _id("unstract", number)
        items = [_file(execution_id, number, place) for place in range(files)]
        body = {"status": "COMPLETED", "message": items}
        yield execution_id, json.dumps(body).encode()


def _file(execution_id: str, number: int, place: int) -> dict[str, object]:
    read, written = 1_800 + number % 977, 150 + place
    cost = f"{read * 2.5e-6 + written * 1e-5:.7f}"
    usage = {
        "model_name": "azure/gpt-4o",
        "input_tokens": read,
        "output_tokens": written,
        "total_tokens": read + written,
        "cost_in_dollars": cost,
    }
    file_id = _id(execution_id, place)
    steps = {
        "context_retrieval": {"time_taken(s)": 0.11},
        "extraction": {"time_taken(s)": 1.5},
    }
    return {
        "file": f"inv-{number}-{place}.pdf",
        "file_execution_id": file_id,
        "status": "Success",
        "error": None,
        "result": {
            "output": {"invoice_number": f"INV-{number}", "total": number + 0.5},
            "metadata": {
                "run_id": file_id,
                "context": {"total": [f"... TOTAL {number}.50 ..."]},
                "extraction_llm": [usage],
                "embedding": [
                    {
                        "model_name": "azure/text-embedding-3-small",
                        "embedding_tokens": 3121,
                        "cost_in_dollars": "0.00006242",
                    }
                ],
            },
            "metrics": {"total": steps},
        },
        "metadata": {
            "source_name": f"inv-{number}-{place}.pdf",
            "source_hash": hashlib.sha256(file_id.encode()).hexdigest(),
            "organization_id": "org_bench",
            "workflow_id": "w1",
            "execution_id": execution_id,
            "file_execution_id": file_id,
            "tags": [],
            "total_elapsed_time": 12.91,
            "total_pages_processed": 3,
            "usage": {
                "file_execution_id": file_id,
                "embedding_tokens": 3121,
                "prompt_tokens": read,
                "completion_tokens": written,
                "total_tokens": 3121 + read + written,
                "cost_in_dollars": float(cost) + 0.00006242,
            },
        },
    }


def discuro_results(results: int) -> Iterator[tuple[str, bytes]]:
    """Yield id and body of ended executions: 5 records, 3 properties of 2 layers."""
    for number in range(results):
        started = number * 30.0
        end = _at(started + 4.8)
        layer = {"start": _at(started), "end": end, "passed": True, "error": None}
        layers = {
            str(7_000 + place): {**layer, "layer_results": None} for place in range(2)
        }
        properties = {
            str(70 + place): {
                **layer,
                "property": {"name": f"property {place}"},
                "layer_results": layers,
            }
            for place in range(3)
        }
        body = {
            "id": number,
            "status": "ended",
            "passed": True,
            "transformation": {
                "start": _at(started),
                "end": end,
                "data": [
                    {"film": f"Film {number}", "year": 1950 + place, "seen": True}
                    for place in range(5)
                ],
                "usage": {
                    "prompt_tokens": 81 + number % 300,
                    "completion_tokens": 135,
                    "total_tokens": 216 + number % 300,
                },
                "results": properties,
            },
        }
        yield str(number), json.dumps(body).encode()
