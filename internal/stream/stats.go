package stream

// Stats is what the streams of this process do now.
type Stats struct {
	Open       int // connections
	CatchingUp int // of those that are behind the hub, the ones that read a page of the journal just now
	Snapshots  int // being read and sent; each holds a connection to the database
}

// Stats returns the current figures.
func (s *Server) Stats() Stats {
	return Stats{Open: s.Streams(), CatchingUp: len(s.catchUps), Snapshots: len(s.snapshots)}
}
