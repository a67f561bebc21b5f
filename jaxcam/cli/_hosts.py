"""Number of this process and number of all processes: given, or found by JAX from the cluster."""

import os

import jax

# set for each process of a job step by srun and by mpirun
_STEPS = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")


def join(
    *, coordinator: str | None, processes: int | None, process: int | None, distributed: bool
) -> tuple[int, int]:
    """This process's number and how many there are; to be called before JAX is used.

    With a coordinator, or where JAX knows the cluster, the processes meet once to learn who is who, and part again:
    they have nothing to exchange, and a host that dies takes no other with it. With numbers alone they do not meet.

    Args:
        coordinator: `host:port` of process 0, with the two numbers.
        distributed: ask JAX, which knows Cloud TPU, SLURM and Open MPI; done by itself under srun and mpirun.

    Raises ValueError for a part of the numbers, and RuntimeError or ValueError where the processes do not meet.
    """
    if (processes is None) != (process is None):
        raise ValueError("--processes and --process go together")
    if coordinator is not None and processes is None:
        raise ValueError("--coordinator goes with --processes and --process")
    if processes is not None and process is not None:
        if not 0 <= process < processes:
            raise ValueError(f"--process is 0 to {processes - 1}, for --processes {processes}; got {process}")
        if coordinator is None:
            return process, processes
    elif not distributed and not any(int(os.environ.get(name, 1)) > 1 for name in _STEPS):
        return 0, 1
    jax.distributed.initialize(coordinator, processes, process)
    found = jax.process_index(), jax.process_count()
    jax.distributed.shutdown()
    return found
