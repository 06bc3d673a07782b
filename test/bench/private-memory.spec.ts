import {parsePrivateMemory} from './private-memory';

const SMAPS = `5622b18a5000-5622b19b1000 r-xp 00000000 fe:00 316525                     /usr/bin/redis-server
Size:               1072 kB
Rss:                 900 kB
Shared_Clean:        100 kB
Shared_Dirty:          0 kB
Private_Clean:       780 kB
Private_Dirty:        20 kB
VmFlags: rd ex mr mw me
7f5dfab3d000-7f5dfb5fc000 rw-s 00000000 00:01 1421909                    /memfd:scope-ring (deleted)
Size:              11004 kB
Shared_Dirty:       4000 kB
Private_Clean:         0 kB
Private_Dirty:        64 kB
Private_Hugetlb:       0 kB
7f5dfd600000-7f5dfde00000 rw-p 00000000 00:00 0 
Private_Clean:         4 kB
Private_Dirty:        32 kB
`;

it('private memory is summed over all mappings, that of the rings told apart', () => {
  expect(parsePrivateMemory(SMAPS)).toEqual({total: 900, rings: 64});
});

it('a process without memory has none', () => {
  expect(parsePrivateMemory('')).toEqual({total: 0, rings: 0});
});
