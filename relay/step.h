/*
 * What a step of asynchronous code may answer. Each active stage keeps its steps in a table in order
 * of time; a step does its part and ends in exactly one of go, await or finish. Only the stage's
 * runner calls steps, and only the runner ends.
 */
#pragma once

enum flow {
	FLOW_GO,   /* the next step was set: run it now */
	FLOW_WAIT, /* the next step was set: run it when what we wait for arrives */
	FLOW_END,  /* nothing more to do */
};
