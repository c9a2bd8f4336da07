"""The node's API carried out: each call a job of the keeper."""

from holdfast.node.api.node import Censor, Node

__all__ = ["Censor", "Node"]
