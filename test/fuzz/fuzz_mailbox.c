/*
 * Any bytes as an address list: what is understood has clean local parts and canonical domains, and
 * its text, read again, is the same address.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "smtp/mailbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_address(const struct smtp_address *address)
{
	char domain[DOMAIN_MAX];
	struct mailbox_list again;
	struct outcome why;

	assert(address->local[0] != '\0' && strlen(address->local) <= 64);
	for (const char *c = address->local; *c != '\0'; c++)
		assert(*c >= ' ' && *c <= '~');
	assert(domain_canonical(address->domain, strlen(address->domain), domain));
	assert(strcmp(domain, address->domain) == 0);
	assert(mailbox_parse(&again, "From", slice_of(address->text), &why));
	assert(again.n_addresses == 1);
	assert(memcmp(&again.addresses[0], address, sizeof *address) == 0);
	mailbox_list_finish(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mailbox_list list;
	struct outcome why;

	if (!mailbox_parse(&list, "From", (struct slice){ (const char *)data, size }, &why)) {
		assert(why.class == OUTCOME_FAIL && why.name[0] != '\0');
		return 0;
	}
	assert(list.n_addresses > 0 && list.n_addresses <= MAILBOX_LIST_MAX);
	for (size_t i = 0; i < list.n_addresses; i++)
		check_address(&list.addresses[i]);
	mailbox_list_finish(&list);
	return 0;
}
