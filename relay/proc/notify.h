/* Tells systemd how we are, if it asked to be told (Type=notify). */
#pragma once

/* "READY=1", "STOPPING=1"; nothing happens without NOTIFY_SOCKET. */
void notify_service_manager(const char *state);
