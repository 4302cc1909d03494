"""Render a privacy plan: tables, SVG chart of error against epsilon, heat maps of pairs, and HTML page."""

from __future__ import annotations

import math
from html import escape
from typing import Any

from markupsafe import Markup

from tabsynth.budget_planning.expected_errors import ExpectedErrors
from tabsynth.budget_planning.simulation import Expected, PrivacyPlan
from tabsynth.privacy.accounting.explanation import FPR, PRIOR, gaussian_bounds
from tabsynth.privacy.budget import gaussian_mu
from tabsynth.reporting.charts import HEAT_STEPS, heat
from tabsynth.reporting.html import environment

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 512.0, 264.0, 58.0, 154.0, 16.0, 44.0
COLOURS = ("#0b6e99", "#c2571a", "#5b7f2b", "#7a4b9e")
LABEL_HEIGHT = 20.0
TICKS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)

N_WORST = 5
"""Pairs that the summary lists."""

HEADER = ("mechanism", "epsilon", "columns' error", "pairs' error", "CPU seconds")

DP_SGD_ADVICE = (
    "When to use DP-SGD (masked), measured on nine columns: marginal always had the smaller error of pairs. On 100,000 "
    "rows masked had the smaller error of triples and a higher likelihood of new rows at epsilon 3 and 10, and at "
    "epsilon 1 if pairs determine the table. On 30,000 rows it had a higher likelihood at epsilon 10 only. With 15 "
    "columns the two were about equal at 100,000 rows and epsilon 3."
)
"""Results of ``benchmarks/crossover.py``."""


def table_rows(plan: PrivacyPlan) -> list[list[str]]:
    """Return the table's rows."""
    return [
        [
            one.mechanism,
            "none" if math.isinf(one.epsilon) else f"{one.epsilon:g}",
            f"{one.columns:.4f}",
            f"{one.pairs:.4f}",
            f"{one.seconds:.1f}",
        ]
        for one in (*plan.expected, plan.floor)
    ]


def worst_header(plan: PrivacyPlan) -> tuple[str, ...]:
    """Return the header of the pairs with the largest errors."""
    return ("pair", *(f"epsilon {epsilon:g}" for epsilon in plan.epsilons))


def worst_rows(plan: PrivacyPlan) -> list[list[str]]:
    """Return the pairs with the largest errors at the middle epsilon, with their error at each epsilon."""
    middle = sorted(range(len(plan.epsilons)), key=lambda at: plan.epsilons[at])[(len(plan.epsilons) - 1) // 2]
    worst = plan.errors[middle].worst_pairs(N_WORST)
    return [[" × ".join(pair), *(f"{one.pairs[pair]:.4f}" for one in plan.errors)] for pair in worst]


def summarise_pairs(plan: PrivacyPlan) -> str:
    """Return one paragraph on the expected errors of columns and pairs."""
    lost = [f"{epsilon:g}" for epsilon, one in zip(plan.epsilons, plan.errors, strict=True) if not one.counts_pairs]
    text = (
        "Expected total variation distance of each column and pair from the noise of the marginal mechanism alone, "
        "computed from the schema, the number of rows and the budget. Pairs are compared on up to eight groups of "
        "each column's values. Sampling error is not included."
    )
    if lost and plan.errors[0].pairs:
        these = " and ".join(part for part in (", ".join(lost[:-1]), lost[-1]) if part)
        text += (
            f" At epsilon {these}, pairs are not counted: columns are sampled independently, and their "
            "dependence is lost. These errors include the loss of a typical dependence; a strong one loses more."
        )
    return text


def summarise_structure(plan: PrivacyPlan) -> str:
    """Return one paragraph on what the schema's constraints save; empty if they save nothing."""
    saved = plan.structure
    if saved is None:
        return ""
    parts = []
    if saved.determined:
        parts.append(f"not measured, as they follow from other columns: {', '.join(saved.determined)}")
    parts += [f"{share:.0%} of {a} × {b} is impossible" for (a, b), share in saved.forbidden.items()]
    errors = "; ".join(
        f"{one.mean_pairs:.4f} instead of {bare.mean_pairs:.4f} at epsilon {epsilon:g}"
        for epsilon, one, bare in zip(plan.epsilons, plan.errors, saved.without, strict=True)
    )
    return f"Savings by the schema's constraints: {'; '.join(parts)}. Mean expected error of pairs: {errors}."


def heat_map(errors: ExpectedErrors) -> dict[str, Any] | None:
    """Return a heat map of the pairs, with columns on the diagonal; None below two columns."""
    shape = [{"columns": [name], "value": 100 * error, "floor": None} for name, error in errors.columns.items()]
    trend = [{"columns": list(pair), "value": 100 * error, "floor": None} for pair, error in errors.pairs.items()]
    return heat(shape, trend, list(errors.columns))


def summarise(plan: PrivacyPlan) -> str:
    """Describe the simulation in one paragraph."""
    larger = (
        "" if plan.simulated >= plan.rows else f" (simulated at {plan.simulated:,}; errors decrease with more rows)"
    )
    person = "a row" if plan.rows_per_person == 1 else f"a person with up to {plan.rows_per_person} rows"
    return (
        f"{plan.rows:,} rows{larger}, delta {plan.delta:.3g}, protecting {person}. Errors are mean total variation "
        "distances (0 is best) to a simulated table; a real table with more structure has larger errors."
    )


def explain_plainly(plan: PrivacyPlan) -> list[str]:
    """Return a sentence on protection and quality at each epsilon, and one to compare them with."""
    who = "rows" if plan.rows_per_person == 1 else "persons"
    lost = {epsilon for epsilon, one in zip(plan.epsilons, plan.errors, strict=True) if not one.counts_pairs}
    out = []
    for epsilon, (_, recognised, _) in zip(sorted(set(plan.epsilons)), attacker_rows(plan), strict=True):
        best = min((one for one in plan.expected if one.epsilon == epsilon), key=lambda one: one.pairs)
        out.append(
            f"Epsilon {epsilon:g}: an attacker recognises at most {100 * recognised:.1f} of 100 {who}. About "
            f"{100 * best.columns:.1f} of 100 synthetic rows have a wrong value in a column, and "
            f"{100 * best.pairs:.1f} a wrong combination in a pair of columns."
            + (" Columns do not depend on each other: the noise is too large for that." if epsilon in lost else "")
        )
    floor = plan.floor
    return [
        *out,
        f"To compare: among as many real rows, {100 * floor.columns:.1f} and {100 * floor.pairs:.1f} of 100 differ by "
        f"chance, and guessing recognises {100 * FPR:g} of 100 {who}.",
    ]


def summarise_assumptions(plan: PrivacyPlan) -> str:
    """Return the assumptions for facts that the schema does not declare; empty if it is complete."""
    if not plan.assumed:
        return ""
    return (
        f"Assumed: {'; '.join(plan.assumed)}. A private fit needs these facts declared from public knowledge, or "
        "measured for a part of the budget (tabsynth measure)."
    )


def advise(plan: PrivacyPlan) -> str:
    """Return when to use DP-SGD, if the plan has it."""
    return DP_SGD_ADVICE if any(one.mechanism == "masked" for one in plan.expected) else ""


def explain_attackers(plan: PrivacyPlan) -> str:
    """Return the sentence above ``attacker_rows``."""
    who = "rows" if plan.rows_per_person == 1 else "persons"
    return (
        f"At most these shares of the {who} in the training table are recognised by an attacker who sees every output "
        f"and knows all other {who}, if {FPR:.0%} of others are mistaken for them (guessing: {FPR:.0%}). The attacker "
        "guesses a secret of 1,000 equally likely values with at most this probability "
        f"({PRIOR:.1%} without the release)."
    )


def attacker_rows(plan: PrivacyPlan) -> list[tuple[str, float, float]]:
    """Return each epsilon as text, with the share recognised and the probability of guessing a secret."""
    return [
        (f"{epsilon:g}", *gaussian_bounds(epsilon, plan.delta, gaussian_mu(epsilon, plan.delta)))
        for epsilon in sorted(set(plan.epsilons))
    ]


def render_svg(plan: PrivacyPlan) -> str:
    """Return the error of pairs against epsilon, both logarithmic, as SVG."""
    shown = [*plan.expected, plan.floor]
    low = min(one.pairs for one in shown if one.pairs > 0) / 1.3
    high = max(max(one.pairs for one in shown), 2 * low) * 1.3
    epsilons = sorted({one.epsilon for one in plan.expected})
    first, last = math.log(epsilons[0]), math.log(epsilons[-1])

    def x(epsilon: float) -> float:
        share = (math.log(epsilon) - first) / (last - first) if last > first else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(error: float) -> float:
        share = math.log(max(error, low) / low) / math.log(high / low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" '
        'aria-label="expected error of pairs against epsilon" font-family="system-ui, sans-serif" font-size="12" '
        'fill="currentColor" style="width:100%;max-width:640px;height:auto;display:block;margin:0 auto">'
    ]
    for tick in (tick for tick in TICKS if low <= tick <= high):
        parts.append(f'<path d="M{LEFT:g} {y(tick):.1f}H{WIDTH - RIGHT:g}" stroke="#8883"/>')
        parts.append(f'<text x="{LEFT - 6:g}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for epsilon in epsilons:
        place = f'x="{x(epsilon):.1f}" y="{HEIGHT - BOTTOM + 18:g}"'
        parts.append(f'<text {place} text-anchor="middle">{epsilon:g}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2:g}" y="{HEIGHT - 6:g}" text-anchor="middle">epsilon</text>')
    floor = y(plan.floor.pairs)
    parts.append(f'<path d="M{LEFT:g} {floor:.1f}H{WIDTH - RIGHT:g}" stroke="#888" stroke-dasharray="4 4"/>')
    parts.append(f'<text x="{WIDTH - RIGHT + 6:g}" y="{floor + 4:.1f}">sampling alone</text>')
    for colour, name in zip(COLOURS, dict.fromkeys(one.mechanism for one in plan.expected), strict=False):
        own: list[Expected] = sorted((e for e in plan.expected if e.mechanism == name), key=lambda e: e.epsilon)
        line = "L".join(f"{x(one.epsilon):.1f} {y(one.pairs):.1f}" for one in own)
        parts.append(f'<path d="M{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for one in own:
            words = escape(f"{name}, epsilon {one.epsilon:g}: {one.pairs:.4f}")
            spot = f'cx="{x(one.epsilon):.1f}" cy="{y(one.pairs):.1f}"'
            parts.append(f'<circle {spot} r="3.5" fill="{colour}"><title>{words}</title></circle>')
        end = own[-1]
        above = y(end.pairs) - 4
        if abs(above - floor - 4) < LABEL_HEIGHT:
            above = floor + 4 - LABEL_HEIGHT
        parts.append(f'<text x="{x(end.epsilon) + 8:.1f}" y="{above:.1f}" fill="{colour}">{escape(name)}</text>')
    return "".join([*parts, "</svg>"])


def render_page(plan: PrivacyPlan) -> str:
    """Return one self-contained HTML page."""
    template = environment("tabsynth.budget_planning").get_template("plan.html.j2")
    maps = [(f"{epsilon:g}", heat_map(one)) for epsilon, one in zip(plan.epsilons, plan.errors, strict=True)]
    worst = worst_rows(plan)
    return template.render(
        summary=summarise(plan),
        plain=explain_plainly(plan),
        assumed=summarise_assumptions(plan),
        advice=advise(plan),
        attackers=explain_attackers(plan),
        attacker_rows=attacker_rows(plan),
        chart=Markup(render_svg(plan)),
        header=HEADER,
        rows=table_rows(plan),
        pairs=summarise_pairs(plan),
        structure=summarise_structure(plan),
        worst=worst,
        worst_header=worst_header(plan),
        maps=[(epsilon, drawn) for epsilon, drawn in maps if drawn],
        middle=(len(maps) - 1) // 2,
        heat_steps=HEAT_STEPS,
    )
