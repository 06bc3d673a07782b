import {parseContainerId} from './container-id.parser';
import {parseNamespacePid} from './namespace-pid.parser';

describe('parseContainerId', () => {
  it('splits runtime and id', () => {
    expect(parseContainerId('containerd://abc')).toEqual({scheme: 'containerd', id: 'abc'});
    expect(parseContainerId('cri-o://abc')).toEqual({scheme: 'cri-o', id: 'abc'});
  });
  it('refuses other forms', () => {
    expect(parseContainerId('')).toBeUndefined();
    expect(parseContainerId('abc')).toBeUndefined();
    expect(parseContainerId('docker://../x')).toBeUndefined();
  });
});

describe('parseNamespacePid', () => {
  it('takes the innermost id', () => {
    expect(parseNamespacePid('Name:\tnginx\nNSpid:\t4711\t12\t1\nThreads:\t4\n')).toBe(1);
    expect(parseNamespacePid('NSpid:\t4711\n')).toBe(4711);
  });
  it('knows none where the kernel says none', () => {
    expect(parseNamespacePid('Name:\tx\n')).toBeUndefined();
  });
});
