"""Running a Beam transform: in this process, in several, in worker pools, or on a cluster of any runner."""

import logging

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.runners.portability.portable_runner import JobServiceHandle
from apache_beam.transforms.environments import Environment

from pipeline.clusters import Direct, Runner
from pipeline.local_workers import LocalWorkers
from pipeline.worker_pools import Fleet


def run(transform: beam.PTransform, workers: int, cluster: Runner | None = None) -> None:
    """Run a transform to its end, on this machine or on a cluster. Raises what its functions raise.

    FnApiRunner by name: "DirectRunner" would first try to download another runner.
    """
    cluster = cluster or Direct()
    options = options_of(cluster, workers)
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    if not isinstance(cluster, Direct):
        _run(transform, options, None)
    elif cluster.pools:
        with Fleet(cluster.pools) as fleet:
            _run(transform, options, _local_runner(options, fleet.environment))
    elif workers > 1:
        with LocalWorkers() as processes:
            _run(transform, options, _local_runner(options, processes.environment))
    else:
        _run(transform, options, _local_runner(options, None))


def options_of(cluster: Runner, workers: int) -> PipelineOptions:
    """Return Beam's options; without flags Beam would read the command line of whatever program this is."""
    return PipelineOptions(flags=cluster.flags(workers), default_sdk_harness_log_level="ERROR")


def _local_runner(options: PipelineOptions, environment: Environment | None) -> fn_runner.FnApiRunner:
    # Worker processes get no options from this runner unless they stand in the provision info.
    encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
    info = fn_runner.ExtendedProvisionInfo(beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded))
    return fn_runner.FnApiRunner(default_environment=environment, provision_info=info)


def _run(transform: beam.PTransform, options: PipelineOptions, runner: fn_runner.FnApiRunner | None) -> None:
    with beam.Pipeline(runner=runner, options=options) as pipeline:
        pipeline | transform.__class__.__name__ >> transform
