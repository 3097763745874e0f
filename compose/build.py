"""``build:`` of a service to a request of the engine: arguments, secrets, names, labels, settings. Pure but for the environment it is given."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from compose.errors import ComposeError
from compose.model import Build, FileSource, Project, Service
from runtime.engine.build import BuildRequest, BuildSecret
from runtime.record import dataclass
from runtime.spec import Ulimit

if TYPE_CHECKING:
    from compose.plan import BuildImage

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
TRUST_SETTING = "PYCOMPOSE_BUILD_TRUST_HOST_CA"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """What the command line adds: ``--build-arg``, ``--no-cache``, ``--pull``, ``--ssh`` (id → socket or key), ``--memory`` (bytes)."""

    arguments: Mapping[str, str | None] | None = None
    no_cache: bool = False
    pull: bool = False
    ssh: Mapping[str, str] | None = None
    memory: int | None = None


def image_name(project: str, service: Service) -> str:
    """The reference a service's build gets: ``image`` as written, or ``<project>-<service>``."""
    return service.image or f"{project}-{service.name}"


def request(project: Project, service: Service, build: Build, options: BuildOptions | None = None) -> BuildRequest:
    """The request for one service's image. Raises ComposeError for secrets and services that do not exist."""
    chosen = options or BuildOptions()
    return BuildRequest(
        context=build.context,
        dockerfile=build.dockerfile or "Dockerfile",
        dockerfile_text=build.dockerfile_inline or None,
        target=build.target,
        arguments=arguments(build, chosen, project.environment),
        references=(image_name(project.name, service), *build.tags),
        labels={**build.labels, **labels(project.name, service.name)},
        contexts={name: _context(project, value) for name, value in build.additional_contexts.items()},
        secrets=tuple(_secret(project, service, s.source, s.target) for s in build.secrets),
        ssh={**build.ssh, **(chosen.ssh or {})},
        network=build.network,
        extra_hosts=build.extra_hosts,
        platforms=_platforms(service, build, project.environment),
        no_cache=build.no_cache or chosen.no_cache,
        no_cache_filter=build.no_cache_filter,
        pull=build.pull or chosen.pull,
        cache_from=build.cache_from,
        cache_to=build.cache_to,
        privileged=build.privileged,
        entitlements=build.entitlements,
        shm_size=build.shm_size,
        memory=chosen.memory,
        ulimits=tuple(Ulimit(name=u.name, soft=u.soft, hard=u.hard) for u in build.ulimits),
        proxies=proxies(project.environment),
        trust_host_ca=truth(project.environment.get(TRUST_SETTING, os.environ.get(TRUST_SETTING, ""))),
    )


def of_operation(operation: BuildImage, project: Project) -> BuildRequest:
    """The request for a plan's step."""
    service = {**project.disabled_services, **project.services}[operation.service]
    made = request(project, service, operation.build, BuildOptions(no_cache=operation.no_cache, pull=operation.pull))
    references = tuple(dict.fromkeys((operation.reference, *operation.build.tags)))
    return replace(made, references=references, platforms=(operation.platform,) if operation.platform else made.platforms)


def bake(requests: Mapping[str, BuildRequest]) -> str:
    """The requests as a bake file, which ``docker buildx bake`` reads."""
    targets = {name: _bake_target(made) for name, made in requests.items()}
    return json.dumps({"group": {"default": {"targets": list(targets)}}, "target": targets}, indent=2, ensure_ascii=False)


def _bake_target(made: BuildRequest) -> dict[str, object]:
    inline = made.dockerfile_text is not None
    target: dict[str, object] = {
        "context": made.context,
        "contexts": dict(made.contexts),
        "dockerfile": "" if inline else made.dockerfile,
        "dockerfile-inline": made.dockerfile_text,
        "args": dict(made.arguments),
        "labels": dict(made.labels),
        "tags": list(made.references),
        "target": made.target,
        "platforms": list(made.platforms),
        "cache-from": list(made.cache_from),
        "cache-to": list(made.cache_to),
        "secret": [f"id={s.id},src={s.file}" for s in made.secrets if s.file],
        "ssh": [f"{k}={v}" if v else k for k, v in made.ssh.items()],
        "network": made.network,
        "no-cache": made.no_cache,
        "pull": made.pull,
        "extra-hosts": dict(made.extra_hosts),
        "output": ["type=docker"],
    }
    return {key: value for key, value in target.items() if value}


def labels(project: str, service: str) -> dict[str, str]:
    """The labels that say whose image it is."""
    from compose import __version__

    prefix = "com.docker.compose"
    return {f"{prefix}.project": project, f"{prefix}.service": service, f"{prefix}.version": __version__}


def arguments(build: Build, options: BuildOptions, environment: Mapping[str, str]) -> dict[str, str]:
    """Build arguments: the file's, the command line's over them; one without a value takes the environment's or is left out."""
    wanted = {**build.args, **(options.arguments or {})}
    found = {name: environment.get(name) if value is None else value for name, value in wanted.items()}
    return {name: value for name, value in found.items() if value is not None}


def proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """The proxy settings of the environment, in both spellings; RUN steps see them, images do not keep them."""
    found = {}
    for upper in PROXY_VARIABLES:
        value = environment.get(upper) or environment.get(upper.lower()) or os.environ.get(upper) or os.environ.get(upper.lower())
        if value:
            found[upper] = found[upper.lower()] = value
    return found


def truth(text: str) -> bool:
    """Whether a setting is on."""
    return text.strip().lower() in ("1", "true", "yes", "on")


def _context(project: Project, value: str) -> str:
    if not value.startswith("service:"):
        return value
    name = value.removeprefix("service:")
    other = project.services.get(name) or project.disabled_services.get(name)
    if other is None:
        raise ComposeError(f"additional_contexts: no such service: {name}")
    return f"docker-image://{image_name(project.name, other)}"


def _secret(project: Project, service: Service, source: str, target: str) -> BuildSecret:
    found: FileSource | None = project.secrets.get(source)
    if found is None:
        raise ComposeError(f"services.{service.name}.build.secrets: undefined secret {source}")
    if found.external:
        raise ComposeError(f"services.{service.name}.build.secrets: unsupported external secret {source}")
    identifier = target or source
    if found.content is not None:
        return BuildSecret(id=identifier, content=found.content.encode())
    if found.environment:
        value = project.environment.get(found.environment)
        if value is None:
            raise ComposeError(f"secrets.{source}: environment variable {found.environment} is not set")
        return BuildSecret(id=identifier, content=value.encode())
    return BuildSecret(id=identifier, file=found.file)


def _platforms(service: Service, build: Build, environment: Mapping[str, str]) -> tuple[str, ...]:
    wanted = service.platform or environment.get("DOCKER_DEFAULT_PLATFORM", "")
    if build.platforms and wanted and wanted not in build.platforms:
        whose = "service.platform" if service.platform else "DOCKER_DEFAULT_PLATFORM"
        raise ComposeError(f'services.{service.name}.build.platforms: must include {whose} "{wanted}"')
    return (wanted,) if wanted else build.platforms
