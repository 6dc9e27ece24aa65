"""Seeded mutants: backends broken on purpose, one promise each, to show that a suite would notice.

A suite that does not go red on each of them cannot be trusted on the real thing. The mutants break the plain functions of
`holdfast.backends.rules`, which every backend written in Python uses, or methods of `MemoryBackend`::

    with MUTANTS["no-fence"].apply():
        failures = await run_suite(make_memory_backend, clock, first_failure=True)
    assert failures
"""

from __future__ import annotations

from typing import Final, NamedTuple

from holdfast.backends import rules
from holdfast.backends.records import NEVER, Conflict
from holdfast.testing.mutant_patches import (
    Apply,
    after,
    any_life,
    any_token,
    applying,
    blind_to_existence,
    drop_input,
    drop_merged,
    fences_restart,
    half_commit,
    hold_for_ever,
    journal_left,
    journal_lost,
    keep_stamps,
    late_seen_check,
    lost_under_the_current_counter,
    method,
    no_fence_in_commit,
    no_fence_in_journal,
    not_slid,
    on_any_counter,
    one_ring,
    overslept_is_fenced,
    removals_ignored,
    resolve_fences_anybody,
    resolve_reads_only,
    rule,
    ttl_is_a_touch,
    within,
    without_field_counters,
)
from holdfast.testing.mutant_patches_parking import (
    any_parked_one,
    behind_those_of_others,
    counted,
    deaf_park,
    due_at_once,
    events_end_with_their_turn,
    events_outlive_their_session,
    in_its_place,
    kept_for_ever,
    kept_from_the_first,
    last_signal_wins,
    never_told,
    park_without_hold,
    reaching,
    read_from_the_start,
    read_of_any_turn,
    read_on_anyhow,
    renewed_by_events,
    spoiling,
    the_last_parked_one,
    the_running_one,
    those_behind_too,
    those_parked_too,
    told_ever_after,
    told_once,
    with_its_lease,
    without_check,
)


class Mutant(NamedTuple):
    """One way of being wrong.

    Attributes:
        name: short, unique.
        sentence: what the broken backend does.
        apply: a context manager; inside it, the backend is broken.
    """

    name: str
    sentence: str
    apply: Apply


MUTANTS: Final[dict[str, Mutant]] = {}
"""All mutants, by name."""


def _add(name: str, sentence: str, apply: Apply) -> None:
    MUTANTS[name] = Mutant(name, sentence, apply)


_add("no-fence", "A commit is not checked against the highest fence.", no_fence_in_commit)
_add("no-fence-in-journal", "An overtaken holder may journal and renew.", no_fence_in_journal)
_add("strict-lease", "A holder that overslept but was not overtaken is turned away.", overslept_is_fenced)
_add(
    "lease-never-runs-out",
    "The lease of a dead holder blocks its session for ever.",
    rule("leased_to_another", lambda head, turn_id, now: head.running not in ("", turn_id)),
)
_add(
    "own-lease-never-runs-out",
    "A dead runner's turn is reported as running for ever.",
    rule("leased_to", lambda head, turn_id, now: head.running == turn_id),
)
_add(
    "no-lease",
    "A session is granted to a second turn while the first one runs.",
    rule("leased_to_another", lambda head, turn_id, now: False),
)
_add(
    "dead-place-stalls",
    "A queued caller that went away holds up all behind it.",
    rule("ahead_of", lambda order, others, now: sum(1 for o in others if o.order < order and o.place_ms)),
)
_add(
    "queue-order-lost",
    "A free session goes to whoever asks first, not to the next in line.",
    rule("ahead_of", lambda order, others, now: 0),
)
_add("not-renewed", "Renewing a lease does nothing.", rule("extend", lambda head, mine, lease_ms, now: None))
_add("fences-restart", "Fences start again with each life of a session.", fences_restart)
_add("no-base-check", "A commit is applied whatever its base.", rule("base_refusal", lambda *_: None))
_add(
    "no-field-counter",
    "A field that both sides changed is overwritten.",
    rule("base_refusal", without_field_counters),
)
_add(
    "fork-merged", "A commit made on a lost version merges by field counters.", rule("may_be_ancestor", lambda *_: True)
)
_add(
    "roots-conflict",
    "A rooted commit does not merge at all.",
    rule("may_be_ancestor", lambda head, delta: not delta.rooted or delta.base is None),
)
_add(
    "fork-by-one",
    "A lost version under the current counter passes for an ancestor.",
    rule("may_be_ancestor", lost_under_the_current_counter),
)
_add(
    "new-ttl-is-a-touch",
    "A new ttl keeps the version, so that copies tell the old one.",
    rule("is_touch", ttl_is_a_touch),
)
_add("base-by-counter", "A base is compared by its counter, so that a fork passes.", rule("on_base", on_any_counter))
_add(
    "every-base-conflicts",
    "Changes of different fields do not merge.",
    rule("base_refusal", lambda head, delta, _: None if rules.on_base(head, delta) else Conflict()),
)
_add("no-seen-check", "A repeated commit is not recognised.", within("commit", "_outcome", lambda *_: None))
_add("base-before-seen", "A repeat whose base is stale by now is a conflict.", late_seen_check)
_add("no-incarnation", "A commit of a former life is written into the next one.", rule("life_refusal", any_life))
_add("no-user-check", "Anybody may read and write anybody's session.", rule("users_differ", lambda head, asked: False))
_add("creation-overwrites", "existence='new' is applied to a living session.", blind_to_existence)
_add("half-commit", "The log is written, the outcome is not.", half_commit)
_add("merge-drops-appends", "Entries appended on an older base are lost.", applying(drop_merged))
_add("input-lost", "A turn's accepted input does not enter the log.", applying(drop_input))
_add("stamp-kept", "A changed field keeps its old counter, so that the next stale write passes.", applying(keep_stamps))
_add("removal-ignored", "A removed field stays.", applying(removals_ignored))
_add("no-outcome-check", "A finished turn is run again.", within("begin", "_outcome", lambda *_: None))
_add(
    "no-fingerprint",
    "Another input under the same turn id is taken for a repeat.",
    rule("same_input", lambda *_: True),
)
_add("journal-lost", "The journal is not kept over attempts.", journal_lost)
_add("journal-left", "The journal outlives its turn's commit.", journal_left)
_add("no-token", "A runner that was overtaken lets go of its successor's lease.", any_token)
_add("never-expires", "Expiry is noted and never enforced.", rule("ends_ms", lambda head: NEVER))
_add("not-slid", "A commit does not renew the expiry.", not_slid)
_add(
    "max-age-ignored",
    "A session in use lives on past max_age.",
    rule("slid", lambda now, created, ttl, max_age: now + ttl if ttl else NEVER),
)
_add(
    "a-moment-early",
    "A session ends a millisecond before its time.",
    rule("alive", lambda head, now: rules.ends_ms(head) == NEVER or now + 1 < rules.ends_ms(head)),
)
_add(
    "a-moment-late",
    "A session is still shown in the millisecond in which it expires.",
    rule("alive", lambda head, now: rules.ends_ms(head) == NEVER or now <= rules.ends_ms(head)),
)
_add("no-hold", "A pending turn does not keep its session alive.", rule("hold", lambda head, until: None))
_add("hold-stays", "A session outlives its last pending turn.", after("advance", hold_for_ever))
_add(
    "begun-shows",
    "A session shows itself before its first commit.",
    rule("visible", lambda h, now: rules.alive(h, now)),
)
_add("resolve-does-not-fence", "A turn resolved as rejected may still commit.", resolve_reads_only)
_add("resolve-does-not-mark", "An update resolved as rejected may still apply.", method("_reject", lambda *_: None))
_add("resolve-fences-anybody", "Settling an old commit takes the turn from its new holder.", resolve_fences_anybody)
_add(
    "resolve-guesses",
    "An outcome that was dropped is reported as rejected.",
    rule("may_be_dropped", lambda *_: False),
)
_add("one-ring", "Updates push out the outcomes of turns.", one_ring)
_add(
    "signal-overwrites", "A second signal of a name takes the place of the first.", spoiling("signal", last_signal_wins)
)
_add("signal-does-not-wake", "A parked turn that is signalled sleeps on.", rule("wake", lambda mine, now: None))
_add("signal-misses-the-parked", "A signal goes to the running turn, not to the parked one.", reaching(the_running_one))
_add("signal-wakes-any", "A turn is woken by a signal that it does not wait for.", reaching(any_parked_one))
_add("signal-wakes-the-last", "Of two parked turns the later one is woken.", reaching(the_last_parked_one))
_add("ahead-reaches-behind", "A signal to those ahead reaches those behind, too.", reaching(those_behind_too))
_add("ahead-reaches-parked", "A signal to those ahead wakes parked turns.", reaching(those_parked_too))
_add("renew-never-tells", "The runner is not told of signals.", spoiling("renew", never_told))
_add("renew-tells-once", "A runner that lost the reply is not told again.", spoiling("renew", told_once))
_add("renew-tells-ever-after", "The next turn is told of a signal that was for the one before.", told_ever_after)
_add("park-is-deaf", "A turn is parked for a signal that has come already.", spoiling("park", deaf_park))
_add("park-unfenced", "An overtaken holder may park the turn.", spoiling("park", without_check))
_add("park-counts", "A park counts as an attempt.", after("park", counted))
_add("park-is-overdue", "A parked turn is overdue at once.", after("park", due_at_once))
_add("parked-granted", "A parked turn is granted to whoever begins it.", rule("is_parked", lambda mine, now: False))
_add("park-stalls-the-queue", "A parked turn holds up all behind it.", after("park", in_its_place))
_add("park-keeps-the-lease", "A parked turn keeps the session.", after("park", with_its_lease))
_add("park-without-hold", "A session expires under its parked turn.", park_without_hold)
_add("events-unfenced", "An overtaken holder may append events.", spoiling("append_events", without_check))
_add("events-pile-up", "Events of the attempt before stay.", spoiling("append_events", behind_those_of_others))
_add("events-for-ever", "Events stay for ever.", spoiling("append_events", kept_for_ever))
_add("events-from-the-first", "Events end while more come in.", spoiling("append_events", kept_from_the_first))
_add("events-renew", "An event lengthens the lease.", spoiling("append_events", renewed_by_events))
_add("events-end-with-the-turn", "Who reads after the commit misses the end.", applying(events_end_with_their_turn))
_add("events-outlive-the-session", "A new session shows the events of the deleted one.", events_outlive_their_session)
_add("events-read-twice", "Who reads on gets all again.", spoiling("read_events", read_from_the_start))
_add("events-skipped", "Who saw another attempt misses the start of this one.", spoiling("read_events", read_on_anyhow))
_add("events-of-another", "A turn's reader gets the events of the next one.", spoiling("read_events", read_of_any_turn))
