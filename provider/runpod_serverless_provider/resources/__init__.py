"""The resources. A further one is a module here and a line in `RESOURCES`; nothing else lists them."""

from .endpoint import Endpoint
from .functions import functions_for
from .network_volume import NetworkVolume
from .pod_template import PodTemplate
from .registry import Registry

RESOURCES = (Endpoint(), NetworkVolume(), PodTemplate(), Registry())
FUNCTIONS = functions_for(RESOURCES)
