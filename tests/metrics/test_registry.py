"""The table of metrics is the only place that says what a metric is: the rest agrees with it."""

import inspect
import re

from click.testing import CliRunner

from jaxcam import datasets, metrics
from jaxcam.cli import main
from jaxcam.cli.evaluate._figure import SCATTERED
from jaxcam.metrics._registry import METRICS, NEED_NOTHING, TABLE


def test_a_metric_is_the_function_of_its_name():
    for name in METRICS.keys() - {"road_morf", "road_lerf"}:  # which are halves of `road`
        accepted = inspect.signature(getattr(metrics, name)).parameters
        taken = {"key", "boxes", "method"} & accepted.keys()
        assert taken == {TABLE[name].needs} - {None}, name


def test_differences_are_of_metrics():
    differences = {name: each.difference for name, each in TABLE.items() if each.difference}
    assert differences.keys() == TABLE.keys() - METRICS.keys()
    assert all(METRICS[one] != METRICS[other] for one, other in differences.values())
    assert set(SCATTERED) <= TABLE.keys()


def test_titles_differ():
    assert len({each.title for each in TABLE.values()}) == len(TABLE)


def test_the_metrics_of_a_data_set_are_those_that_need_nothing():
    documented = (
        inspect.cleandoc(datasets.run.__doc__ or "").partition("metrics: ")[2].partition("batch: ")[0]
    )
    shown = CliRunner().invoke(main, ["run", "--help"]).output.partition("--metric")[2].partition("--crop")[0]
    for text in (documented, shown):
        assert set(re.findall(r"\w+", text)) & TABLE.keys() == set(NEED_NOTHING)
