#include "relay/net/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

void peer_print_address(const struct sockaddr *peer, char text[PEER_ADDRESS_MAX])
{
	const struct in6_addr *ipv6 = &((const struct sockaddr_in6 *)peer)->sin6_addr;

	snprintf(text, PEER_ADDRESS_MAX, "unknown");
	if (peer->sa_family == AF_INET)
		inet_ntop(
		    AF_INET, &((const struct sockaddr_in *)peer)->sin_addr, text, PEER_ADDRESS_MAX);
	else if (peer->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(ipv6))
		inet_ntop(AF_INET, &ipv6->s6_addr[12], text, PEER_ADDRESS_MAX);
	else if (peer->sa_family == AF_INET6)
		inet_ntop(AF_INET6, ipv6, text, PEER_ADDRESS_MAX);
}

void peer_print_host(const char *peer, char *host, size_t room)
{
	const char *port = strrchr(peer, ':');
	size_t n =
	    port != NULL && port > peer && port[-1] == ']' ? (size_t)(port - peer) : strlen(peer);

	snprintf(host, room, "%.*s", (int)n, peer);
}
