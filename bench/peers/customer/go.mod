module peers.example/customer

go 1.26.0
