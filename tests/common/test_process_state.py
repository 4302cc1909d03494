"""Library code leaves the state of the process as it was, also where threads overlap."""

from __future__ import annotations

import ast
import csv
import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from tabsynth.common.process_state import (
    SharedChange,
    discarded_prints,
    environment,
    ignored_warnings,
    large_csv_fields,
    quiet_logger,
)
from tabsynth.common.threads import limited_threads
from tabsynth.distributed.shards import one_thread

ROOT = Path(__file__).resolve().parents[2]

FORBIDDEN = re.compile(
    r"(os\.(chdir|fchdir|umask|putenv|unsetenv|nice|setpriority|sched_setaffinity)"
    r"|os\.environ\.(update|setdefault|pop|clear|popitem)"
    r"|warnings\.(catch_warnings|filterwarnings|simplefilter|resetwarnings)"
    r"|locale\.setlocale|time\.tzset|socket\.setdefaulttimeout|tempfile\.tempdir|mimetypes\.add_type"
    r"|torch\.(set_\w+|use_deterministic_algorithms|manual_seed|random\.\w+|cuda\.set_device)"
    r"|(np|numpy)\.(seterr|seterrcall|set_printoptions|setbufsize|random\.(seed|set_state))|random\.seed"
    r"|(pd|pandas)\.(set_option|reset_option|option_context)|pa\.set_(cpu|io_thread)_count"
    r"|signal\.(signal|alarm|setitimer|set_wakeup_fd)|faulthandler\.\w+|resource\.setrlimit"
    r"|multiprocessing\.set_start_method|threading\.(setprofile|settrace|stack_size)|gc\.(disable|freeze|set_\w+)"
    r"|logging\.(basicConfig|disable|captureWarnings|setLoggerClass|config\.\w+)|\w+\.(setLevel|set_verbosity)"
    r"|sys\.(set\w+|path\.(append|insert|remove))|csv\.(field_size_limit|register_dialect)"
    r"|decimal\.(setcontext|getcontext)|sqlite3\.(register_\w+|enable_callback_tracebacks)|codecs\.register\w*"
    r"|yaml\.(add_\w+)|contextlib\.redirect_std(out|err)|redirect_std(out|err)|atexit\.register"
    r"|threadpool_limits|sklearn\.set_config|matplotlib\.use)"
)
"""Calls that change the state of the whole process."""

ASSIGNED = re.compile(
    r"(os\.environ\[.*|sys\.(std(in|out|err)|excepthook|argv|path|tracebacklimit)|pd\.options\..*"
    r"|torch\.backends\..*|warnings\.(showwarning|formatwarning|filters)|socket\.socket|tempfile\.tempdir)"
)

ALLOWED = {
    "tabsynth/common/process_state.py": "makes each change once for all threads, and undoes it",
    "tabsynth/common/threads.py": "the same, for the threads of BLAS; those of OpenMP belong to the calling thread",
    "tabsynth/distributed/shards.py": "the same, for the threads of torch",
    "tabsynth/common/data_parallel.py": "the device of a process that torchrun started",
    "tabsynth/synthesizers/adapters/base.py": "seeds of packages that know global ones only, under a lock",
    "tabsynth/cli/main.py": "the process belongs to the command",
    "tabsynth/cli/output.py": "the process belongs to the command",
    "tabsynth/cli/reading.py": "the process belongs to the command",
    "tabsynth/web/worker.py": "a process of its own",
}
"""Modules that may, and why that does no harm."""


@pytest.mark.parametrize("folder", ["tabsynth", "privacy", "evaluation"])
def test_the_state_of_the_process_is_changed_in_few_places(folder: str) -> None:
    for path in sorted((ROOT / folder).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        source = path.read_text(encoding="utf-8")
        if name in ALLOWED or not (FORBIDDEN.search(source) or ASSIGNED.search(source)):
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert not FORBIDDEN.fullmatch(called), f"{name}, line {node.lineno}: {called} changes the process"
            targets = node.targets if isinstance(node, ast.Assign) else []
            for target in map(ast.unparse, targets):
                assert not ASSIGNED.fullmatch(target), f"{name}, line {node.lineno}: {target} belongs to the process"


def overlap(first: Callable[[], AbstractContextManager[object]]) -> None:
    """Enter in one thread, then in another, and leave in the order of entering."""
    entered, left = threading.Event(), threading.Event()

    def later() -> None:
        with first():
            entered.set()
            left.wait(30)

    other = threading.Thread(target=later)
    with first():
        other.start()
        entered.wait(30)
    left.set()
    other.join()


def observe() -> tuple[object, ...]:
    import torch
    from threadpoolctl import threadpool_info

    in_a_new_thread: list[int] = []
    fresh = threading.Thread(target=lambda: in_a_new_thread.append(torch.get_num_threads()))
    fresh.start()
    fresh.join()
    blas = [pool["num_threads"] for pool in threadpool_info()]
    filters = list(warnings.filters)
    level = logging.getLogger("of.a.package").level
    return csv.field_size_limit(), dict(os.environ), filters, level, torch.get_num_threads(), in_a_new_thread, blas


@pytest.mark.parametrize(
    "change",
    [
        large_csv_fields.made,
        environment(("TABSYNTH_TEST_A", "1"), ("PATH", "elsewhere")).made,
        ignored_warnings(message="of a package").made,
        quiet_logger("of.a.package").made,
        limited_threads,
        one_thread,
    ],
    ids=["csv", "environment", "warnings", "logger", "threads", "torch"],
)
def test_state_is_restored_where_threads_overlap(change: Callable[[], AbstractContextManager[object]]) -> None:
    import torch

    own = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        before = observe()
        with change():
            assert observe() != before
        overlap(change)
        assert observe() == before
    finally:
        torch.set_num_threads(own)


def test_a_change_is_undone_after_an_error() -> None:
    made: list[str] = []

    def change() -> Callable[[], None]:
        made.append("made")
        return lambda: made.append("undone")

    shared = SharedChange(change)
    with pytest.raises(KeyError), shared.made(), shared.made():
        raise KeyError
    assert made == ["made", "undone"]


def test_an_environment_variable_that_is_set_may_stay() -> None:
    with environment(("PATH", "elsewhere"), replace=False).made():
        assert os.environ["PATH"] != "elsewhere"


def test_only_the_warnings_of_the_thread_are_ignored() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with ignored_warnings(message="noise of a package").made():
            warnings.warn("noise of a package", stacklevel=1)
            warnings.warn("a matter of the user", stacklevel=1)
        warnings.warn("noise of a package", stacklevel=1)
    assert [str(item.message) for item in seen] == ["a matter of the user", "noise of a package"]


def test_other_threads_print_on(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    with discarded_prints():
        print("discarded")
        other = threading.Thread(target=lambda: print("kept"))
        other.start()
        other.join()
    assert sys.stdout is before
    assert capsys.readouterr().out == "kept\n"


def test_threads_that_end_out_of_order_leave_standard_output_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    first, second = ExitStack(), threading.Event()
    entered = threading.Event()

    def overlap() -> None:
        with discarded_prints():
            entered.set()
            second.wait(60)

    first.enter_context(discarded_prints())
    other = threading.Thread(target=overlap)
    other.start()
    entered.wait(60)
    first.close()
    second.set()
    other.join(60)
    assert sys.stdout is before
    print("kept")
    assert capsys.readouterr().out == "kept\n"
