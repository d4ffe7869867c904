package cmd

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"amend/states"
)

func (a *app) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Find mistakes in the configuration without calling any service",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := a.load(a.logger(slog.LevelWarn))
			if err != nil {
				return err
			}
			found := cfg.Report(findings(cfg))
			warnings := 0
			if found != nil {
				warnings = found.Count()
				fmt.Fprintln(a.stderr, found)
			}
			slow := interpreted(cfg.Machine)
			if a.output == "json" {
				return a.json(map[string]any{"services": len(cfg.Schema.Services), "states": len(cfg.Machine.States), "rules": len(cfg.Rules.Rules), "errors": 0, "warnings": warnings, "interpreted": slow})
			}
			fmt.Fprintf(a.stdout, "%s: %s, %s, %s; no errors, %s.\n", a.config, plural(len(cfg.Schema.Services), "service", "services"),
				plural(len(cfg.Machine.States), "state", "states"), plural(len(cfg.Rules.Rules), "rule", "rules"), plural(warnings, "warning", "warnings"))
			if len(slow) > 0 {
				fmt.Fprintf(a.stdout, "CEL itself evaluates %s: right, but some twenty times slower than what is compiled.\n", strings.Join(slow, ", "))
			}
			return nil
		},
	}
}

// interpreted lists the states whose conditions have to be evaluated by CEL
// itself.
func interpreted(m *states.Machine) []string {
	names := []string{}
	for i := range m.States {
		if !m.States[i].When.Compiled() {
			names = append(names, m.States[i].Name)
		}
	}
	return names
}

func (a *app) json(v any) error {
	encoder := json.NewEncoder(a.stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which version this is",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := version()
			if a.output == "json" {
				return a.json(v)
			}
			fmt.Fprintf(a.stdout, "amend %s (%s, %s)\n", v["version"], v["revision"], v["go"])
			return nil
		},
	}
}

func version() map[string]string {
	v := map[string]string{"version": "devel", "revision": "unknown revision", "go": runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		v["version"] = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v["revision"] = s.Value
		}
	}
	return v
}
