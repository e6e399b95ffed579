"""A pilot as the outside world sees it."""

from typing import Any

from batches.models import Batch, SignOff
from pilots.boundary import BOUNDARY
from pilots.criteria import Criterion, Failure, Judgement, Step
from sora2.times import timestamp
from webhooks.models import Attempt
from webhooks.trail import host_of


def pilot_json(judgement: Judgement, *, evidence: bool) -> dict[str, Any]:
    """Return a pilot by its criteria. `evidence` names live records: for whoever may reach those."""
    pilot = judgement.pilot
    return {
        "ok": True,
        "pilot_id": pilot.pk,
        "activated_at": timestamp(pilot.activated_at),
        "deadline": timestamp(pilot.deadline),
        "status": judgement.status.value,
        "criteria": [_criterion_json(criterion, judgement, evidence) for criterion in judgement.criteria],
        "failures": [_failure_json(failure) for failure in judgement.failures],
        "steps": [_step_json(step) for step in judgement.steps],
        "next": judgement.next,
        "boundary": BOUNDARY,
    }


def _criterion_json(criterion: Criterion, judgement: Judgement, evidence: bool) -> dict[str, Any]:
    met_at = criterion.met_at
    return {
        "number": criterion.number,
        "name": criterion.name,
        "met": criterion.is_met,
        "met_at": timestamp(met_at),
        "in_time": met_at <= judgement.pilot.deadline if met_at else None,
        "evidence": _evidence_json(criterion) if evidence else None,
    }


def _failure_json(failure: Failure) -> dict[str, Any]:
    """Return a condition of failure. What our people wrote of it is theirs."""
    return {
        "number": failure.number,
        "name": failure.name,
        "holds": failure.holds,
        "recorded_at": timestamp(failure.at),
    }


def _step_json(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "at": timestamp(step.at),
        "seconds": None if step.took is None else int(step.took.total_seconds()),
    }


def _evidence_json(criterion: Criterion) -> dict[str, Any] | None:
    match criterion.evidence:
        case Batch() as batch:
            return {
                "batch_id": batch.pk,
                "request_id": batch.request_id,
                "state": batch.state,
                "created_at": timestamp(batch.created_at),
                "finished_at": timestamp(batch.finished_at),
            }
        case Attempt() as attempt:
            return {
                "batch_id": attempt.delivery.event.reference,
                "event_id": attempt.delivery.event_id,
                "delivery_id": attempt.delivery_id,
                "endpoint_id": attempt.delivery.endpoint_id,
                "host": host_of(attempt.delivery.url),
                "status_code": attempt.status_code,
                "at": timestamp(attempt.at),
            }
        case SignOff() as signed:
            return {
                "batch_id": signed.batch_id,
                "sign_off_id": signed.pk,
                "side": signed.side,
                "role": signed.role,
                "signed_by": signed.signed_by_id,
                "signed_at": timestamp(signed.signed_at),
                "ledger": {"reserved": signed.reserved, "settled": signed.settled, "refunded": signed.refunded},
                "proof_sha256": signed.proof_sha256,
            }
    return None
