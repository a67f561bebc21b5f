"""Methods that explain by a transformer's attention, whatever library it is written in.

The probe is of any layer of the transformer: its leading tokens and its grid say how a row of keys is laid out.
"""

from ._gradeclip import gradeclip
from ._legrad import legrad
from ._relevance import attention_relevance
from ._rollout import rollout

__all__ = ["attention_relevance", "gradeclip", "legrad", "rollout"]
