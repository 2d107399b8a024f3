"""What Ray raises of an actor that is gone. The second is no kind of the first, and comes where its host is gone."""

from ray.exceptions import ActorUnschedulableError, RayActorError

LOST_ACTOR = (RayActorError, ActorUnschedulableError)
