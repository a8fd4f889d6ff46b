// Takes every recipient, and keeps each message as a file, named when it is complete.
'use strict';
const fs = require('fs');
const path = require('path');

exports.register = function () {
	this.directory = process.env.ZEGEL_TEST_BOX;
};

exports.hook_rcpt = function (next) {
	next(OK);
};

exports.hook_data_post = function (next, connection) {
	connection.transaction.add_header('X-Came-Over-TLS', connection.tls.enabled ? 'yes' : 'no');
	next();
};

exports.hook_queue = function (next, connection) {
	const transaction = connection.transaction;
	const part = path.join(this.directory, `.${transaction.uuid}`);
	const file = fs.createWriteStream(part);
	file.on('error', (error) => next(DENYSOFT, error.message));
	file.on('close', () => {
		fs.renameSync(part, path.join(this.directory, `${transaction.uuid}.eml`));
		next(OK);
	});
	transaction.message_stream.pipe(file, { line_endings: '\r\n', dot_stuffing: false });
};
