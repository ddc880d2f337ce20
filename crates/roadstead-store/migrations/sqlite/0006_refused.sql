-- Devices that were refused, for the list of failing devices.
CREATE INDEX presence_refused ON presence (space, device) WHERE refused_at IS NOT NULL;
