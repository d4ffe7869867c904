package connectors

import "io"

// Close releases what a connector holds: open connections, a database. It is
// only needed where a connector ends before the program does.
func Close(c Connector) error {
	if closer, ok := c.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}
