import signal

import pytest

from lab.laboratory import Laboratory


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call":
        item.failed_in_call = report.failed


LONGEST_S = 900  # no test takes that long unless it hangs


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    def ring(number, frame):
        raise TimeoutError(f"the test did not end within {LONGEST_S} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(LONGEST_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def make_lab(request):
    """Makes laboratories, and ends them with the test; a sanitizer's report fails it."""
    made = []

    def make(**how):
        lab = Laboratory(name=request.node.name.partition("[")[0].removeprefix("test_"), **how)
        made.append(lab)
        return lab

    yield make
    reports = []
    for lab in made:
        if getattr(request.node, "failed_in_call", False):
            print(f"--- what Zegel said\n{lab.zegel.told()}")
        reports.append(lab.close())
    assert "".join(reports) == ""


@pytest.fixture
def lab(make_lab):
    return make_lab()
