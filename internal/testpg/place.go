package testpg

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// place is where a server of ours is reached, and where its data must be.
type place struct {
	host string // a name or, for a Unix socket, its folder
	port int
	data string
	log  func() string // what the server said last
}

// url addresses a database; the port is spelt out because PGPORT would
// otherwise change it.
func (p place) url(database string) string {
	query := url.Values{"host": {p.host}, "port": {strconv.Itoa(p.port)}, "sslmode": {"disable"}}
	address := url.URL{Scheme: "postgres", User: url.User("amend"), Path: "/" + database, RawQuery: query.Encode()}
	return address.String()
}

func (p place) ping(ctx context.Context) error {
	connection, err := pgx.Connect(ctx, p.url("postgres"))
	if err != nil {
		return err
	}
	return connection.Close(ctx)
}

// ours connects after it has made sure that the server is ours: a stray PGHOST
// or service file must never let a test destroy something somewhere else.
func (p place) ours(ctx context.Context) (*pgx.Conn, error) {
	connection, err := pgx.Connect(ctx, p.url("postgres"))
	if err != nil {
		return nil, fmt.Errorf("connect: %w\n%s", err, p.log())
	}
	var data string
	err = connection.QueryRow(ctx, "SHOW data_directory").Scan(&data)
	if err == nil && data != p.data {
		err = fmt.Errorf("this server's data is in %s, not in %s: nothing done", data, p.data)
	}
	if err != nil {
		connection.Close(ctx) //nolint:errcheck // it is of no use
		return nil, err
	}
	return connection, nil
}

// administer runs one statement on a server that is ours.
func (p place) administer(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	connection, err := p.ours(ctx)
	if err != nil {
		return err
	}
	defer connection.Close(ctx) //nolint:errcheck // the statement has been answered by then
	if _, err := connection.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}
