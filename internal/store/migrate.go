package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrations embed.FS

// ErrNewerSchema is why a database is refused that a newer release has used.
var ErrNewerSchema = errors.New("the database was used by a newer release of Swab; start that one, or restore a backup from before it")

// migrate brings the schema up to date, one transaction a step.
func migrate(ctx context.Context, db *sql.DB, d dialect, log *slog.Logger) error {
	files, err := fs.Sub(migrations, d.migrations)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(d.goose, db, files, goose.WithDisableGlobalRegistry(true), goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	has, knows, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	if has > knows {
		return fmt.Errorf("%w (it has schema %d, this release knows %d)", ErrNewerSchema, has, knows)
	}
	steps, err := p.Up(ctx)
	if err != nil {
		return fmt.Errorf("bring the schema from %d to %d: %w", has, knows, err)
	}
	if len(steps) > 0 {
		log.InfoContext(ctx, "database schema brought up to date", "from", has, "to", knows)
	}
	return nil
}
