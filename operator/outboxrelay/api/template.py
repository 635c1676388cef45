"""spec.template: what users may say of the relay's pods. Curated: a whole PodSpec would break kubectl apply."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from outboxrelay.api.model import ApiModel

PRESERVED = {"x-kubernetes-preserve-unknown-fields": True}
LabelText = Annotated[str, StringConstraints(max_length=63)]
AnnotationText = Annotated[str, StringConstraints(max_length=4096)]


class Template(ApiModel):
    """How the relay's pods are made; the API server checks the parts that are Kubernetes' own."""

    image: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    """Image of the relay pods. Default: the operator's own image."""
    labels: Annotated[dict[str, LabelText], Field(max_length=32)] = {}
    """Labels added to the pods; the operator's own labels win."""
    annotations: Annotated[dict[str, AnnotationText], Field(max_length=32)] = {}
    """Annotations added to the pods; the operator's own annotations win."""
    node_selector: Annotated[dict[str, LabelText], Field(max_length=32)] = {}
    """Labels a node must have to run the pods."""
    resources: Annotated[dict[str, Any], Field(json_schema_extra=PRESERVED)] = {}
    """Requests and limits of the relay container. Default: requests of 50m CPU and 96Mi, a limit of 512Mi."""
    affinity: Annotated[dict[str, Any], Field(json_schema_extra=PRESERVED)] = {}
    """Affinity of the pods, as in a Pod."""
    tolerations: Annotated[
        list[Annotated[dict[str, Any], Field(json_schema_extra=PRESERVED)]], Field(max_length=20)
    ] = []
    """Tolerations of the pods, as in a Pod."""
    termination_grace_period_seconds: Annotated[int, Field(ge=5, le=600)] = 30
    """Seconds a pod has to finish what is in flight after SIGTERM."""
