"""What a service asks for and this engine cannot give: told once, never silently dropped. Pure."""

from __future__ import annotations

from compose.convert.resources import is_cdi
from compose.model import Service


def unsupported(service: Service) -> list[str]:
    """One sentence per attribute that has no effect here."""
    at = f"services.{service.name}"
    found = [f"{at}.{name}: not supported, ignored ({why})" for name, why in _plain(service)]
    found += [
        f"{at}.devices: {d.source}: not supported, ignored (CDI devices need a vendor's runtime)" for d in service.devices if is_cdi(d)
    ]
    return found


def _plain(service: Service) -> list[tuple[str, str]]:
    deploy = service.deploy
    requests = service.gpus or (deploy.reservation_devices if deploy else ())
    checks = (
        (bool(requests), "gpus", "device requests need a vendor's container runtime; map the device nodes with `devices`"),
        (bool(service.models), "models", "there is no model runner"),
        (service.use_api_socket, "use_api_socket", "there is no API socket: no daemon runs"),
        (bool(service.storage_opt), "storage_opt", "the overlay root has no size limit"),
        (service.runtime not in ("", "runc"), "runtime", "pycompose is the runtime"),
        (service.isolation not in ("", "default"), "isolation", "for Windows only"),
        (service.cpu_count is not None, "cpu_count", "for Windows only, use cpus"),
        (service.cpu_percent is not None, "cpu_percent", "for Windows only, use cpus"),
        (deploy is not None and deploy.mode == "global", "deploy.mode", "there is one host: global is one replica"),
    )
    return [(name, why) for asked, name, why in checks if asked]
