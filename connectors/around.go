package connectors

import "amend"

// Around puts what every service gets around its connector, without being
// asked: limits, retries and a breaker, and the proof of absence.
func Around(c Connector, service *amend.Service, s Surroundings) Connector {
	s = s.OrReal()
	guarded := Guard(c, GuardOptions{Name: service.Name, Share: s.Share, Reserve: s.Reserve, Now: s.Now, Log: s.Log})
	return Prove(guarded, service.Sentinels, DefaultWindow, s.Now)
}
