package store

// settleSoon has whoever waits for Unsettled settle.
func (s *Store) settleSoon() {
	select {
	case s.unsettled <- struct{}{}:
	default: // the settling that is due finds this as well
	}
}
