{{/* The chart's name, or what replaces it. */}}
{{- define "zadig-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Name of the release's objects: the release's name, with the chart's where that is not in it. */}}
{{- define "zadig-operator.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $own := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- $fullname := default $own .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $fullname) }}
{{- fail (printf "fullnameOverride: the release's objects would be called %s, but a Service takes lower-case letters, digits and dashes, a letter first" $fullname) }}
{{- end }}
{{- $fullname }}
{{- end }}

{{/* Name of the Lease: the program puts its shard behind --lease-name. */}}
{{- define "zadig-operator.leaseName" -}}
{{- include "zadig-operator.fullname" . }}{{ with .Values.shard }}-{{ . }}{{ end }}
{{- end }}

{{/* Labels that never change: they are in selectors. */}}
{{- define "zadig-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "zadig-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Those of the pod of `helm test`. Not the name of the operator: the Service and the policies select by that. */}}
{{- define "zadig-operator.testLabels" -}}
app.kubernetes.io/name: {{ include "zadig-operator.name" . | trunc 58 | trimSuffix "-" }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of every object. */}}
{{- define "zadig-operator.labels" -}}
{{ include "zadig-operator.labelsWith" (list . (include "zadig-operator.selectorLabels" .)) }}
{{- end }}

{{/* The same with these labels in place of the selector's. */}}
{{- define "zadig-operator.labelsWith" -}}
{{- $own := last . }}
{{- with first . -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ $own }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "zadig-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "zadig-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "zadig-operator.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}
{{- end }}

{{/* The subject of every binding. */}}
{{- define "zadig-operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "zadig-operator.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* What the operator does with its own kinds and with what they refer to, wherever it works. */}}
{{- define "zadig-operator.rules" -}}
# Its own kinds are watched. Finalizers and annotations are patched, and the replicas of a binding that left them to an autoscaler.
- apiGroups: [zadig-operator.io]
  resources: [zadigconnections]
  verbs: [list, watch, patch]
- apiGroups: [zadig-operator.io]
  resources: [zadigenvironments, zadigenvconfigs, zadigservicebindings]
  verbs: [get, list, watch, patch]
- apiGroups: [zadig-operator.io]
  resources: [zadigconnections/status, zadigenvironments/status, zadigenvconfigs/status, zadigservicebindings/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch]
# Labels, where a connection or an environment admits namespaces by label.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- if not .Values.secrets.namespaces }}
{{ include "zadig-operator.secretRules" . }}
{{- end }}
{{- end }}

{{/* Tokens, certificates and values that manifests refer to. Watching is the right to read, as Kubernetes has none for metadata alone. */}}
{{- define "zadig-operator.secretRules" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: {{ if .Values.secrets.watch }}[get, list, watch]{{ else }}[get]{{ end }}
{{- end }}
