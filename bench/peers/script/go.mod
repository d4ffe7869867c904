module peers.example/script

go 1.26.0

require (
	golang.org/x/sync v0.24.0
	peers.example/customer v0.0.0
)

replace peers.example/customer => ../customer
