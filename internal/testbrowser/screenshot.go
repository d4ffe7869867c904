package testbrowser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Screenshot writes the page to a PNG file, in a window of width × height
// pixels; a longer page gives a higher picture. With dark, the page is told
// that its reader prefers dark colours. The tab is as before afterwards.
func (tab *Tab) Screenshot(path string, width, height int, dark bool) {
	tab.t.Helper()
	picture := run(tab, "screenshot", func(ctx context.Context, target *chromedp.Target) ([]byte, error) {
		if err := dress(ctx, width, height, dark); err != nil {
			return nil, err
		}
		picture, err := chromedp.FullScreenshot(100)(ctx, target)
		if err != nil {
			return nil, fmt.Errorf("capture: %w", err)
		}
		return picture, undress(ctx)
	})
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		tab.t.Fatalf("testbrowser: make a folder for the screenshot: %v", err)
	}
	if err := os.WriteFile(path, picture, 0o600); err != nil {
		tab.t.Fatalf("testbrowser: write the screenshot: %v", err)
	}
}

func dress(ctx context.Context, width, height int, dark bool) error {
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		return fmt.Errorf("choose the colours: %w", err)
	}
	window := emulation.SetDeviceMetricsOverrideParams{Width: int64(width), Height: int64(height), DeviceScaleFactor: 1}
	if _, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, window); err != nil {
		return fmt.Errorf("size the window: %w", err)
	}
	return nil
}

func undress(ctx context.Context) error {
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{}); err != nil {
		return fmt.Errorf("reset the colours: %w", err)
	}
	if _, err := chromedp.Call(ctx, emulation.ClearDeviceMetricsOverride, cdp.Empty{}); err != nil {
		return fmt.Errorf("reset the window: %w", err)
	}
	return nil
}
