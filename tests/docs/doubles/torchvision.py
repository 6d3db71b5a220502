"""What timm finds as torchvision in the sessions of the pages' tests."""

import atexit

from tests.adaptive_act.swapping.real_models.torchvision_stand_in import torchvision_stand_in

_double = torchvision_stand_in()
_double.__enter__()
atexit.register(_double.__exit__, None, None, None)
