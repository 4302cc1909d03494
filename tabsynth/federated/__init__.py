"""Synthesis over several sites that do not share rows."""

from tabsynth.federated.fit import fit_federated
from tabsynth.federated.plan import FederatedPlan
from tabsynth.federated.site import Site
from tabsynth.federated.sockets import SocketTransport, serve_site
from tabsynth.federated.transport import InProcessTransport, SiteLostError, Transport

__all__ = [
    "FederatedPlan",
    "InProcessTransport",
    "Site",
    "SiteLostError",
    "SocketTransport",
    "Transport",
    "fit_federated",
    "serve_site",
]
