// Package deploytest checks the files with which operators start the server: that
// Kubernetes and systemd take them, and that the server takes what they say.
package deploytest

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	podsecurity "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"example.com/tidings/tools/internal/workspace"
)

// manifests are what the directory of Kubernetes' files gives.
type manifests struct {
	deployment *appsv1.Deployment
	services   []*corev1.Service
	disruption *policyv1.PodDisruptionBudget
	network    *networkingv1.NetworkPolicy
	namespace  *corev1.Namespace
}

// operationsFile is a file or directory of docs/operations.
func operationsFile(t *testing.T, path ...string) string {
	t.Helper()
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(append([]string{root, "docs", "operations"}, path...)...)
}

// readManifests builds them as `kubectl apply -k` does, and decodes each strictly: a
// field that its kind doesn't have, or one of another type, is an error.
func readManifests(t *testing.T) manifests {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), operationsFile(t, "kubernetes"))
	if err != nil {
		t.Fatal(err)
	}
	var m manifests
	for _, r := range built.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		var object any
		switch kind := r.GetApiVersion() + " " + r.GetKind(); kind {
		case "apps/v1 Deployment":
			m.deployment = new(appsv1.Deployment)
			object = m.deployment
		case "v1 Service":
			service := new(corev1.Service)
			m.services, object = append(m.services, service), service
		case "policy/v1 PodDisruptionBudget":
			m.disruption = new(policyv1.PodDisruptionBudget)
			object = m.disruption
		case "networking.k8s.io/v1 NetworkPolicy":
			m.network = new(networkingv1.NetworkPolicy)
			object = m.network
		case "v1 Namespace":
			m.namespace = new(corev1.Namespace)
			object = m.namespace
		default:
			t.Fatalf("a %s, which this test doesn't know", kind)
		}
		if err := yaml.UnmarshalStrict(text, object); err != nil {
			t.Errorf("%s %s: %v", r.GetKind(), r.GetName(), err)
		}
		if r.GetKind() != "Namespace" && r.GetNamespace() != "tidings" {
			t.Errorf("%s %s is in the namespace %q", r.GetKind(), r.GetName(), r.GetNamespace())
		}
	}
	if m.deployment == nil || len(m.services) != 2 || m.disruption == nil || m.network == nil || m.namespace == nil {
		t.Fatal("something is missing among the manifests")
	}
	return m
}

func TestStrictDecodingFindsMistakes(t *testing.T) {
	for _, text := range []string{"spec: {replicaz: 3}", "spec: {replicas: three}", "spec: {template: {spec: {containers: [{livenessProbe: {httpGet: {pathh: /}}}]}}}"} {
		if err := yaml.UnmarshalStrict([]byte(text), new(appsv1.Deployment)); err == nil {
			t.Errorf("%s is taken for a Deployment", text)
		}
	}
}

// The parts mean each other: selectors find the pods, and named ports are there.
func TestManifestsFitTogether(t *testing.T) {
	m := readManifests(t)
	pod := m.deployment.Spec.Template
	container := pod.Spec.Containers[0]
	selects := func(what string, selector map[string]string) {
		t.Helper()
		if len(selector) == 0 {
			t.Errorf("%s selects everything", what)
		}
		for key, value := range selector {
			if pod.Labels[key] != value {
				t.Errorf("%s selects %s=%s, which the pods don't have", what, key, value)
			}
		}
	}
	hasPort := func(what string, port *intstr.IntOrString) {
		t.Helper()
		if port == nil || !slices.ContainsFunc(container.Ports, func(p corev1.ContainerPort) bool { return p.Name == port.StrVal }) {
			t.Errorf("%s: the container has no port %v", what, port)
		}
	}
	selects("the Deployment", m.deployment.Spec.Selector.MatchLabels)
	selects("the PodDisruptionBudget", m.disruption.Spec.Selector.MatchLabels)
	selects("the NetworkPolicy", m.network.Spec.PodSelector.MatchLabels)
	for _, service := range m.services {
		selects("the Service "+service.Name, service.Spec.Selector)
		for _, port := range service.Spec.Ports {
			hasPort("the Service "+service.Name, &port.TargetPort)
		}
	}
	for _, rule := range m.network.Spec.Ingress {
		for _, port := range rule.Ports {
			hasPort("the NetworkPolicy", port.Port)
		}
	}
	for name, probe := range map[string]*corev1.Probe{"startup": container.StartupProbe, "readiness": container.ReadinessProbe, "liveness": container.LivenessProbe} {
		hasPort("the probe for "+name, &probe.HTTPGet.Port)
	}
	for _, mount := range container.VolumeMounts {
		if !slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name }) {
			t.Errorf("%s: there is no volume %s", mount.MountPath, mount.Name)
		}
	}
	for _, arg := range container.Args { // Each file is in a volume.
		_, value, _ := strings.Cut(arg, "=")
		if strings.HasPrefix(value, "/") && !slices.ContainsFunc(container.VolumeMounts, func(v corev1.VolumeMount) bool { return v.MountPath == filepath.Dir(value) }) {
			t.Errorf("%s is in no volume", arg)
		}
	}
}

// The pods are what Kubernetes' own check of the level that the namespace enforces lets
// in, and would not be with less.
func TestPodsAreRestricted(t *testing.T) {
	m := readManifests(t)
	level, err := podsecurity.ParseLevel(m.namespace.Labels[podsecurity.EnforceLevelLabel])
	if err != nil || level != podsecurity.LevelRestricted {
		t.Fatalf("the namespace enforces %q: %v", level, err)
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	evaluate := func() policy.AggregateCheckResult {
		pod := m.deployment.Spec.Template
		return policy.AggregateCheckResults(evaluator.EvaluatePod(
			podsecurity.LevelVersion{Level: level, Version: podsecurity.LatestVersion()}, &pod.ObjectMeta, &pod.Spec))
	}
	if result := evaluate(); !result.Allowed {
		t.Errorf("the pods are refused: %s", result.ForbiddenDetail())
	}
	m.deployment.Spec.Template.Spec.Containers[0].SecurityContext.Capabilities = nil
	if result := evaluate(); result.Allowed {
		t.Error("pods with capabilities are let in")
	}
}
