"""Limits, devices, health, restarts, logging and security of a service → their specs. Pure."""

from __future__ import annotations

from typing import Literal, TypeVar, cast

from compose.errors import PlanError
from compose.model import BlkioRate, Device, Service
from runtime.spec import DeviceRate, DeviceSpec, HealthcheckSpec, LogSpec, Resources, RestartPolicy, Ulimit

Limit = TypeVar("Limit", int, float)
PolicyName = Literal["no", "always", "on-failure", "unless-stopped"]

_SECCOMP = ("seccomp=", "seccomp:")
_POLICIES = ("no", "always", "on-failure", "unless-stopped")
_CONDITIONS: dict[str, PolicyName] = {
    "none": "no",
    "no": "no",
    "on-failure": "on-failure",
    "unless-stopped": "unless-stopped",
    "any": "always",
    "always": "always",
}


def resources(service: Service) -> Resources:
    """cgroup limits; a service's own attributes come before their twins under ``deploy``."""
    deploy, blkio = service.deploy, service.blkio_config
    return Resources(
        memory=_or(service.mem_limit, deploy.memory if deploy else None),
        memory_reservation=_or(service.mem_reservation, deploy.reservation_memory if deploy else None),
        memory_swap=service.memswap_limit or None,
        memory_swappiness=service.mem_swappiness,
        oom_kill_disable=service.oom_kill_disable,
        cpus=_or(service.cpus, deploy.cpus if deploy else None),
        cpu_shares=service.cpu_shares or None,
        cpu_period=service.cpu_period or None,
        cpu_quota=service.cpu_quota or None,
        cpu_rt_period=service.cpu_rt_period or None,
        cpu_rt_runtime=service.cpu_rt_runtime or None,
        cpuset=service.cpuset or None,
        pids=_or(service.pids_limit, deploy.pids if deploy else None),
        blkio_weight=blkio.weight if blkio else None,
        blkio_weight_device=_rates(blkio.weight_device if blkio else ()),
        device_read_bps=_rates(blkio.device_read_bps if blkio else ()),
        device_write_bps=_rates(blkio.device_write_bps if blkio else ()),
        device_read_iops=_rates(blkio.device_read_iops if blkio else ()),
        device_write_iops=_rates(blkio.device_write_iops if blkio else ()),
    )


def restart_policy(service: Service) -> RestartPolicy:
    """``deploy.restart_policy``, or ``restart``. Raises PlanError for a word that is no policy."""
    deploy = service.deploy
    if deploy is not None and (deploy.restart_condition or deploy.restart_max_attempts is not None):
        name = _CONDITIONS.get(deploy.restart_condition or "any")
        if name is None:
            raise PlanError(
                f"services.{service.name}.deploy.restart_policy.condition: {deploy.restart_condition!r} is not none, on-failure or any"
            )
        return RestartPolicy(name=name, maximum_retry_count=(deploy.restart_max_attempts or 0) if name == "on-failure" else 0)
    word, _, count = service.restart.partition(":")
    if (word or "no") not in _POLICIES or (count and (word != "on-failure" or not count.isdecimal())):
        raise PlanError(
            f"services.{service.name}.restart: invalid restart policy {service.restart!r}",
            hint="no, always, unless-stopped, on-failure or on-failure:N",
        )
    return RestartPolicy(name=cast("PolicyName", word or "no"), maximum_retry_count=int(count or 0))


def healthcheck(service: Service) -> HealthcheckSpec | None:
    """The service's health check; None leaves everything to the image. Raises PlanError for an interval that could never be used."""
    check = service.healthcheck
    if check is None:
        return None
    if check.disable or check.test == ("NONE",):
        return HealthcheckSpec(test=("NONE",))
    if check.start_interval is not None and check.start_period is None:
        raise PlanError(
            f"services.{service.name}.healthcheck.start_interval requires healthcheck.start_period to be set",
            hint="during start_period probes run every start_interval",
        )
    return HealthcheckSpec(
        test=check.test,
        interval=check.interval,
        timeout=check.timeout,
        retries=check.retries,
        start_period=check.start_period,
        start_interval=check.start_interval,
    )


def log_spec(service: Service) -> LogSpec:
    """``logging``, or Docker's default driver."""
    logging = service.logging
    return LogSpec() if logging is None else LogSpec(driver=logging.driver or "json-file", options=logging.options)


def devices(service: Service) -> tuple[DeviceSpec, ...]:
    """Device nodes; CDI names are told in the warnings (``compose.convert.support``)."""
    plain = ((i, d) for i, d in enumerate(service.devices) if not is_cdi(d))
    return tuple(
        DeviceSpec(
            source=d.source, target=d.target or d.source, permissions=d.permissions or "rwm", origin=f"services.{service.name}.devices[{i}]"
        )
        for i, d in plain
    )


def is_cdi(device: Device) -> bool:
    """Whether a device is a Container Device Interface name (vendor.com/class=device)."""
    return not device.source.startswith("/") and "=" in device.source


def ulimits(service: Service) -> tuple[Ulimit, ...]:
    """Resource limits."""
    return tuple(Ulimit(name=u.name, soft=u.soft, hard=u.hard) for u in service.ulimits)


def seccomp_profile(service: Service) -> str | None:
    """The profile's JSON text out of ``security_opt: ["seccomp={…}"]`` (the loader puts a file's content there), or "unconfined".

    Raises PlanError for a path that nobody read.
    """
    values = (o[len("seccomp=") :] for o in service.security_opt if o.startswith(_SECCOMP))
    value = next(values, "builtin")
    if value not in ("builtin", "unconfined") and not value.lstrip().startswith("{"):
        raise PlanError(f"services.{service.name}.security_opt: opening seccomp profile ({value}) failed", hint="it must be a JSON file")
    return None if value == "builtin" else value


def security_options(service: Service) -> tuple[str, ...]:
    """``security_opt`` without seccomp, which has a place of its own."""
    return tuple(o for o in service.security_opt if not o.startswith(_SECCOMP))


def _or(own: Limit | None, deployed: Limit | None) -> Limit | None:
    """The service's own value, else deploy's; 0 is "not limited"."""
    return (own if own is not None else deployed) or None


def _rates(rates: tuple[BlkioRate, ...]) -> tuple[DeviceRate, ...]:
    return tuple(DeviceRate(path=r.path, rate=r.rate) for r in rates)
