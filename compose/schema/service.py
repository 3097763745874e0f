"""Every attribute of a service, in the order in which ``config`` prints them."""

from __future__ import annotations

from compose.schema.base import Reading
from compose.schema.collections import KeyValues, ListOf, MapOf, TextMap
from compose.schema.deploy import build, deploy, develop
from compose.schema.forms import Command, Gpus, Hosts, NamesOr, Options, Ports
from compose.schema.limits import blkio_config, gpu_request, logging, ulimits
from compose.schema.objects import Object, attribute
from compose.schema.parts import (
    NAME,
    STRING,
    dependency,
    device,
    env_file,
    file_use,
    healthcheck,
    hook,
    mount,
    port,
    pre_start,
    service_model,
    service_network,
    string_list,
    string_or_list,
    strings,
    unique_strings,
)
from compose.schema.scalars import Decimal, Duration, Flag, Integer, Size, Text
from compose.schema.tree import Map, Origin, Seq, Value


def _extends(value: Value, origin: Origin | None, reading: Reading) -> Value:
    if type(value) is not str:
        raise reading.wrong("the name of a service or a mapping", value, origin)
    result = Map(origin)
    result.put("service", value, origin)
    return result


class EnvFiles(ListOf):
    """``env_file``: one path, or a list of paths and mappings."""

    __slots__ = ()

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        """Always a list."""
        if type(value) is str:
            result = Seq(origin)
            result.add(value, origin)
            return ListOf.read(self, result, origin, reading)
        return ListOf.read(self, value, origin, reading)


service = Object(
    "a service",
    (
        attribute("profiles", unique_strings, "Start it only when one of these is active."),
        attribute("annotations", KeyValues(), "Annotations of the container."),
        attribute("attach", Flag(), "Whether up shows its output.", keep=True),
        attribute("build", build, "How its image is built."),
        attribute("develop", develop, "What happens when files change.", keep=True),
        attribute("blkio_config", blkio_config, "Limits of block devices.", keep=True),
        attribute("cap_add", unique_strings, "Capabilities to add."),
        attribute("cap_drop", unique_strings, "Capabilities to drop."),
        attribute("cgroup_parent", Text(), "The parent control group."),
        attribute("cgroup", Text(enum=("host", "private")), "The control group namespace."),
        attribute("cpu_count", Integer(least=0), "Windows only."),
        attribute("cpu_percent", Decimal(percent=True), "Windows only."),
        attribute("cpu_period", Integer(cut=True), "The CFS period, in microseconds."),
        attribute("cpu_quota", Integer(cut=True), "The CFS quota, in microseconds."),
        attribute("cpu_rt_period", Integer(cut=True), "The real-time period, in microseconds."),
        attribute("cpu_rt_runtime", Integer(cut=True), "The real-time share, in microseconds."),
        attribute("cpus", Decimal(), "Cores, such as 0.5."),
        attribute("cpuset", Text(), "Which cores, such as 0-3 or 0,1."),
        attribute("cpu_shares", Integer(cut=True), "Relative weight."),
        attribute("command", Command(), "What is run, instead of the image's command.", keep=True, blank=None),
        attribute("configs", ListOf(file_use), "Configs to mount."),
        attribute(
            "container_name",
            Text(
                pattern="[a-zA-Z0-9][a-zA-Z0-9_.-]+",
                says="a container name (two or more letters, digits, '_', '.', '-')",
            ),
            "A fixed name.",
        ),
        attribute(
            "credential_spec",
            Object(
                "credential_spec",
                (
                    attribute("config", Text()),
                    attribute("file", Text()),
                    attribute("registry", Text()),
                ),
            ),
            "Windows only.",
            keep=True,
        ),
        attribute(
            "depends_on",
            NamesOr(MapOf(dependency, pattern=NAME), (("condition", "service_started"), ("required", True))),
            "Services to wait for.",
        ),
        attribute("deploy", deploy, "Replicas, limits, and what a cluster needs.", keep=True),
        attribute("device_cgroup_rules", unique_strings, "Device rules such as c 1:3 mr."),
        attribute("devices", ListOf(device), "Devices of the host."),
        attribute("dns", string_list, "Name servers."),
        attribute("dns_opt", unique_strings, "Options of the resolver."),
        attribute("dns_search", string_or_list, "Search domains."),
        attribute("domainname", Text(), "The domain name."),
        attribute("entrypoint", Command(), "What is run, instead of the image's entrypoint.", keep=True, blank=None),
        attribute(
            "provider",
            Object(
                "provider",
                (
                    attribute("type", Text(), "The program.", required=True),
                    attribute("options", Options(), "Its options."),
                ),
            ),
            "A program that makes the service.",
        ),
        attribute("environment", KeyValues(nulls=True, strict=True), "Environment variables; one without a value is passed through."),
        attribute("env_file", EnvFiles(env_file), "Files with environment variables."),
        attribute("expose", ListOf(Text(numbers=True), unique=True), "Ports that other services may use."),
        attribute(
            "extends",
            Object(
                "extends",
                (
                    attribute("file", Text(), "The file it is in."),
                    attribute("service", Text(), "The service to start from.", required=True),
                ),
                extensions=False,
                lenient=True,
                short=_extends,
                short_schemas=(STRING,),
            ),
            "Another service to start from.",
        ),
        attribute("external_links", unique_strings, "Containers outside the project, with an alias."),
        attribute("extra_hosts", Hosts(), "Further names and their addresses."),
        attribute("group_add", ListOf(Text(numbers=True), unique=True), "Further groups."),
        attribute("gpus", Gpus(ListOf(gpu_request)), "Graphics processors."),
        attribute("hostname", Text(), "The host name in the container."),
        attribute("healthcheck", healthcheck, "How to find out whether it is well.", keep=True),
        attribute("image", Text(), "The image to run."),
        attribute("init", Flag(), "Run a small init as process 1.", keep=True),
        attribute("ipc", Text(), "The IPC namespace: host, private, shareable, none, service:NAME or container:NAME."),
        attribute("isolation", Text(), "Windows only."),
        attribute("labels", KeyValues(), "Labels of the container."),
        attribute("label_file", ListOf(Text(), single=True, needed=True), "Files with labels."),
        attribute("links", unique_strings, "Services under another name, as service:alias."),
        attribute("logging", logging, "Where output goes.", keep=True),
        attribute("mem_limit", Size(), "Memory at most."),
        attribute("mem_reservation", Size(whole=True), "Memory at least."),
        attribute("memswap_limit", Size(), "Memory and swap at most; -1 for no limit."),
        attribute("mem_swappiness", Size(whole=True), "0 to 100."),
        attribute("mac_address", Text(), "A fixed hardware address."),
        attribute("models", NamesOr(MapOf(service_model, pattern=NAME, nulls=True)), "AI models to use."),
        attribute("network_mode", Text(), "none, host, bridge, service:NAME or container:NAME.", told=True),
        attribute("networks", NamesOr(MapOf(service_network, pattern=NAME, nulls=True)), "Networks to join."),
        attribute("oom_kill_disable", Flag(), "Do not kill it when memory runs out."),
        attribute("oom_score_adj", Integer(least=-1000, most=1000), "Which is killed first when memory runs out."),
        attribute("pid", Text(), "The PID namespace: host, service:NAME or container:NAME."),
        attribute("pids_limit", Integer(cut=True), "Processes at most; -1 for no limit."),
        attribute("platform", Text(), "Such as linux/amd64."),
        attribute("ports", Ports(port), "Ports to publish."),
        attribute("privileged", Flag(), "With all capabilities and devices."),
        attribute(
            "pull_policy",
            Text(
                pattern="always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+",
                says="a pull policy: always, never, missing, if_not_present, build, daily, weekly or every_<time>",
            ),
            "When to pull the image.",
        ),
        attribute("pull_refresh_after", Text(), "Has no effect."),
        attribute("read_only", Flag(), "Make its root read-only."),
        attribute("restart", Text(), "no, always, unless-stopped or on-failure[:N]."),
        attribute("runtime", Text(), "The OCI runtime."),
        attribute("scale", Integer(least=0), "How many containers.", keep=True),
        attribute("secrets", ListOf(file_use), "Secrets to mount."),
        attribute("security_opt", unique_strings, "Such as no-new-privileges or seccomp=unconfined."),
        attribute("shm_size", Size(), "The size of /dev/shm."),
        attribute("stdin_open", Flag(), "Keep its input open."),
        attribute("stop_grace_period", Duration(), "How long it may take to stop.", keep=True),
        attribute("stop_signal", Text(), "What it is told to stop with."),
        attribute("storage_opt", TextMap(any_scalar=True), "Options of the storage driver."),
        attribute("sysctls", KeyValues(), "Kernel parameters."),
        attribute("tmpfs", string_or_list, "Places for a tmpfs."),
        attribute("tty", Flag(), "Give it a terminal."),
        attribute("ulimits", ulimits, "Limits of its processes."),
        attribute("use_api_socket", Flag(strict=True), "Give it the engine's socket."),
        attribute("user", Text(), "The user, and the group after a colon."),
        attribute("userns_mode", Text(), "The user namespace: host."),
        attribute("uts", Text(), "The UTS namespace: host."),
        attribute("volumes", ListOf(mount), "What is mounted."),
        attribute("volumes_from", unique_strings, "Services or containers whose mounts it gets."),
        attribute("working_dir", Text(), "Where it starts."),
        attribute("pre_start", ListOf(pre_start), "What is run before it starts, in containers of its own."),
        attribute("post_start", ListOf(hook), "What is run in it after it started."),
        attribute("pre_stop", ListOf(hook), "What is run in it before it stops."),
    ),
    hidden=("pull_refresh_after",),
)

services = MapOf(service, pattern=NAME)

__all__ = ["services", "strings"]
