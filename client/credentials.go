package client

import (
	"encoding/json"
	"fmt"
	"os"
)

// Credentials is what a server's first start leaves for its first client: the
// file bootstrap.json. It holds secrets; its mode is 0600.
type Credentials struct {
	APIBase         string `json:"apiBase"`
	Authority       string `json:"authority"`
	TenantID        string `json:"tenantId"`
	ClientID        string `json:"clientId"`
	ClientSecret    string `json:"clientSecret"`
	EnrollmentToken string `json:"enrollmentToken"`
	CAFile          string `json:"caFile"`
	ReceiptKey      []byte `json:"receiptKey"` // Ed25519: what receipts are judged by
	LogKey          []byte `json:"logKey"`     // Ed25519: what the audit log's checkpoints are judged by; nil where the file lacks it
}

// maxCredentials bounds the file: 64 KiB.
const maxCredentials = 64 << 10

// ReadCredentials reads bootstrap.json.
func ReadCredentials(file string) (Credentials, error) {
	var cred Credentials
	f, err := os.Open(file)
	if err != nil {
		return cred, fmt.Errorf("credentials: %w", err)
	}
	defer f.Close()
	data, err := readAll(f, maxCredentials)
	if err != nil {
		return cred, fmt.Errorf("credentials %s: %w", file, err)
	}
	if err := json.Unmarshal(data, &cred); err != nil {
		return cred, fmt.Errorf("credentials %s: not the JSON of bootstrap.json: %w", file, err)
	}
	return cred, nil
}

// Config is what a client of these credentials needs.
func (c Credentials) Config() Config {
	return Config{BaseURL: c.APIBase, Authority: c.Authority, ClientID: c.ClientID, ClientSecret: c.ClientSecret, CAFile: c.CAFile}
}

// String and GoString keep the secrets out of messages.
func (c Credentials) String() string   { return "credentials of " + c.ClientID + " at " + c.APIBase }
func (c Credentials) GoString() string { return c.String() }
