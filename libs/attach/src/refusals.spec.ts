import {fakeProcess} from './proc/process-table.fake';
import {refuseProcess, refuseRights} from './refusals';

const context = {uid: 0, ownPid: 999};

describe('refusals', () => {
  it.each([
    [{kernelThread: true}, 'KernelThread'],
    [{zombie: true}, 'Zombie'],
    [{tracerPid: 12}, 'AlreadyTraced'],
    [{pid: 999}, 'InvalidArgument'],
  ] as const)('%p: %s, with the process and what to do', (facts, reason) => {
    const refusal = refuseProcess(fakeProcess({pid: 7, ...facts}), context);
    expect(refusal?.reason).toBe(reason);
    expect(refusal?.message).toMatch(/process (7|999) \(server\)/);
    expect(refusal?.advice).not.toBe('');
  });

  it('notices that the id belongs to another process now', () => {
    const refusal = refuseProcess(fakeProcess({pid: 7, startTime: '200', zombie: true}), {
      ...context,
      startTime: '100',
    });
    expect(refusal?.reason).toBe('PIDReused');
  });

  it('lets an ordinary process pass', () => {
    expect(refuseProcess(fakeProcess({pid: 7}), {...context, startTime: '1000'})).toBeUndefined();
  });

  it('needs root', () => {
    expect(refuseRights(0, 'scope attach')).toBeUndefined();
    expect(refuseRights(1000, 'scope attach')).toMatchObject({reason: 'NotRoot', exitCode: 77});
  });
});
