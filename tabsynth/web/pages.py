"""Pages and forms of the five steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response, StreamingResponse

from tabsynth.errors import InputError, TabsynthError
from tabsynth.reporting.html import environment
from tabsynth.web import jobs
from tabsynth.web.progress import live, stream
from tabsynth.web.project import Project, list_projects, open_project
from tabsynth.web.security import HEADERS, REPORT_POLICY
from tabsynth.web.steps.columns import KIND_WORDS, ROLE_WORDS, cards, change, declare_public, open_columns
from tabsynth.web.steps.pipeline_file import pipeline_text, write_pipeline
from tabsynth.web.steps.protection import (
    EPSILONS,
    Protection,
    explain,
    ledger_balance,
    read_plan,
    round_rows,
)
from tabsynth.web.steps.release import MissedGatesError, release_facts, sign_release, verify_release
from tabsynth.web.steps.results import DOWNLOADS, PAGES, ROOT, summary
from tabsynth.web.steps.tables import SAMPLES, take_source, take_upload

CANCEL_SECONDS = 5.0


class Pages:
    """Pages and forms over one folder of projects."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._templates = environment("tabsynth.web")

    def _render(self, request: Request, template: str, status: int = 200, **facts: Any) -> Response:
        text = self._templates.get_template(template).render(
            {"csrf": getattr(request.state, "csrf", ""), "error": "", "project": None, "state": {}, **facts}
        )
        return HTMLResponse(text, status)

    def _project(self, request: Request) -> Project:
        return open_project(self.root, request.path_params["slug"])

    def _step(self, request: Request, template: str, step: int, error: str = "", **facts: Any) -> Response:
        """Return a page of one step, with the navigation of the project."""
        project = self._project(request)
        steps = ("columns", "protection", "learn", "results")
        reached = 2 + steps.index(project.step)
        facts |= {"project": project, "state": project.state, "step": step, "reached": reached, "error": error}
        return self._render(request, template, 400 if error else 200, **facts)

    def refused(self, request: Request, error: Exception) -> Response:
        """Return a page for an address or a request that cannot be answered."""
        message = str(error) if isinstance(error, TabsynthError) else "There is no such page."
        return self._render(request, "message.html.j2", 404, error=message)

    def broken(self, request: Request, error: Exception) -> Response:
        """Return a page for an error that is not the user's; the terminal has the details."""
        answer = self._render(request, "message.html.j2", 500, error="An unexpected error occurred; see the terminal.")
        answer.headers.update(HEADERS)
        return answer

    def home(self, request: Request, error: str = "") -> Response:
        """Step 1: choose a table."""
        projects = [{"slug": p.slug, **p.state, "step": p.step} for p in list_projects(self.root)]
        status = 400 if error else 200
        facts = {"projects": projects, "samples": SAMPLES, "step": 1, "reached": 1}
        return self._render(request, "home.html.j2", status, error=error, **facts)

    def new(self, request: Request, form: FormData) -> Response:
        """Take a table into a new project."""
        upload = form.get("table")
        if isinstance(upload, UploadFile) and upload.filename:
            project = take_upload(self.root, upload.filename, upload.file)
        else:
            source = str(form.get("sample") or form.get("path") or "").strip()
            if not source:
                raise InputError("choose a file first, or one of the sample tables")
            project = take_source(self.root, source, str(form.get("name") or "").strip())
        return _see(project, "columns")

    def go_on(self, request: Request) -> Response:
        """Redirect to the first unfinished step."""
        project = self._project(request)
        return _see(project, project.step)

    def columns(self, request: Request, error: str = "") -> Response:
        """Step 2: check the columns."""
        found = cards(self._project(request))
        questions = sum(bool(card["question"]) for card in found)
        facts = {"cards": found, "questions": questions, "kinds": KIND_WORDS, "roles": ROLE_WORDS}
        return self._step(request, "columns.html.j2", 2, error, **facts)

    def change_column(self, request: Request, form: FormData) -> Response:
        """Correct one column."""
        project = self._project(request)
        fields = {key: value for key, value in form.items() if isinstance(value, str)}
        change(project, fields)
        number = fields["number"]
        return _see(project, f"columns#column-{number}")

    def confirm_columns(self, request: Request, form: FormData) -> Response:
        """Accept the columns unchanged, and start the simulation of the loss of quality."""
        project = self._project(request)
        project.update(confirmed=True)
        if read_plan(project) is None and jobs.running(self.root) is None:
            jobs.start(self.root, project, "plan")
        return _see(project, "protection")

    def protection(self, request: Request, error: str = "") -> Response:
        """Step 3: choose the protection."""
        project = self._project(request)
        chosen, schema = Protection.of(project), project.schema
        rows = chosen.rows_public or round_rows(project.state["rows"])
        persons = schema.with_role("person")
        unit = persons[0] if persons else "row"
        plan = read_plan(project)
        choices = [explain(epsilon, rows, unit) | {"plan": (plan or {}).get(epsilon)} for epsilon in EPSILONS]
        facts: dict[str, Any] = {
            "chosen": chosen,
            "answered": bool(project.state.get("protection")),
            "choices": choices,
            "planned": plan is not None,
            "planning": plan is None and jobs.status(self.root, project).get("state") == "running",
            "ledger": ledger_balance(project),
            "rows": rows,
            "unit": unit,
            "open": open_columns(project),
            "wants_private": chosen.private or "private" in request.query_params,
        }
        return self._step(request, "protection.html.j2", 3, error, **facts)

    def declare(self, request: Request, form: FormData) -> Response:
        """Declare bounds and lists of values as public."""
        project = self._project(request)
        declare_public(project, {key: value for key, value in form.items() if isinstance(value, str)})
        return _see(project, "protection?private=1#public-facts")

    def protect(self, request: Request, form: FormData) -> Response:
        """Keep the choice and start to learn."""
        project = self._project(request)
        chosen = Protection()
        if form.get("protection") == "epsilon":
            persons = project.schema.with_role("person")
            epsilon = _positive(form, "epsilon", "epsilon")
            chosen = Protection(
                epsilon=epsilon,
                budget=_positive(form, "budget", "the budget") if form.get("budget") else epsilon,
                rows_public=int(_positive(form, "rows", "the number of rows")),
                unit=persons[0] if persons else "row",
                rows_per_person=int(_positive(form, "rows_per_person", "rows per person")) if persons else None,
            )
        elif form.get("protection") != "none":
            raise InputError("choose a protection first")
        chosen.save(project)
        return self.start(request, form)

    def learn(self, request: Request, error: str = "") -> Response:
        """Step 4: training progress."""
        project = self._project(request)
        status = jobs.status(self.root, project)
        shown = live(status if status.get("action") == "train" else {}, Protection.of(project).private)
        return self._step(request, "learn.html.j2", 4, error, job=shown)

    def start(self, request: Request, form: FormData) -> Response:
        """Start or resume the training job; a running simulation of the plan is cancelled."""
        project = self._project(request)
        running = jobs.running(self.root)
        if running is not None and running[1]:
            other = open_project(self.root, running[1])
            if jobs.status(self.root, other).get("action") == "plan":
                jobs.cancel(self.root, other)
                jobs.wait(self.root, CANCEL_SECONDS)
        jobs.start(self.root, project, "train")
        return _see(project, "learn")

    def cancel(self, request: Request, form: FormData) -> Response:
        """Interrupt the job."""
        project = self._project(request)
        jobs.cancel(self.root, project)
        jobs.wait(self.root, CANCEL_SECONDS)
        return _see(project, "learn")

    async def events(self, request: Request) -> Response:
        """Return the progress of the job as server-sent events, until it ends."""
        project = self._project(request)
        private = Protection.of(project).private

        async def lines() -> AsyncIterator[str]:
            async for line in stream(lambda: live(jobs.status(self.root, project), private)):
                yield line
                if await request.is_disconnected():
                    return
                await asyncio.sleep(0)

        return StreamingResponse(lines(), media_type="text/event-stream")

    def results(self, request: Request, error: str = "", **release: Any) -> Response:
        """Step 5: report, audit and files."""
        project = self._project(request)
        found = summary(project)
        if found is None:
            return _see(project, project.step)
        facts = {"release": release_facts(project), "missed": (), "publisher": project.state.get("publisher", "")}
        return self._step(request, "results.html.j2", 5, error, **found, **(facts | release))

    def sign(self, request: Request, form: FormData) -> Response:
        """Sign a release; gates that it misses are shown, to be waived by name."""
        project = self._project(request)
        publisher, reason = (str(form.get(name) or "").strip() for name in ("publisher", "reason"))
        try:
            sign_release(self.root, project, publisher, reason, [str(gate) for gate in form.getlist("waive")])
        except MissedGatesError as error:
            return self.results(request, str(error), missed=error.missed, publisher=publisher)
        return _see(project, "results#h-release")

    def verify(self, request: Request, form: FormData) -> Response:
        """Verify the release once more."""
        project = self._project(request)
        verify_release(self.root, project)
        return _see(project, "results#h-release")

    def pipeline(self, request: Request, error: str = "") -> Response:
        """Return the project as a pipeline file."""
        project = self._project(request)
        return self._step(request, "pipeline.html.j2", 5, error, text=pipeline_text(project))

    def save_pipeline(self, request: Request, form: FormData) -> Response:
        """Write the pipeline file into the project."""
        project = self._project(request)
        write_pipeline(project)
        return _see(project, "files/pipeline.yaml")

    def file(self, request: Request) -> Response:
        """Return a result: reports are shown in a sandbox, other files are downloaded."""
        name = request.path_params["name"]
        if name not in DOWNLOADS:
            raise InputError(f"there is no file {name!r}")
        project, (folder, kind) = self._project(request), DOWNLOADS[name]
        path = (self.root if folder == ROOT else project.folder / folder) / name
        if not path.is_file():
            raise InputError(f"the file {name!r} does not exist yet")
        if name in PAGES:
            return HTMLResponse(path.read_bytes(), headers={"content-security-policy": REPORT_POLICY})
        return FileResponse(path, media_type=kind, filename=f"{project.slug}-{name}")


def _see(project: Project, page: str) -> Response:
    return RedirectResponse(f"/p/{project.slug}/{page}", status_code=303)


def _positive(form: FormData, field: str, what: str) -> float:
    text = str(form.get(field) or "").replace(",", "").strip()
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"{what} must be a number, not {text!r}") from None
    if not 0 < value < 1e12:
        raise InputError(f"{what} must be above 0, not {text!r}")
    return value
