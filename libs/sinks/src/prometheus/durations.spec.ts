import {Durations} from './durations';

it('is a histogram of the text format: cumulative buckets, bounds included, a sum and a count', () => {
  const durations = new Durations('d_seconds', 'Durations.');
  durations.observe('shop', 'GET', 200, [0.005, 0.006, 11]);
  const labels = 'service_name="shop",http_request_method="GET",http_response_status_code="200"';
  const lines = durations.text().split('\n');
  expect(lines.slice(0, 4)).toEqual([
    '# HELP d_seconds Durations.',
    '# TYPE d_seconds histogram',
    `d_seconds_bucket{le="0.005",${labels}} 1`,
    `d_seconds_bucket{le="0.01",${labels}} 2`,
  ]);
  expect(lines.slice(-5)).toEqual([
    `d_seconds_bucket{le="10",${labels}} 2`,
    `d_seconds_bucket{le="+Inf",${labels}} 3`,
    `d_seconds_sum{${labels}} 11.011`,
    `d_seconds_count{${labels}} 3`,
    '',
  ]);
});

it('a label is one, whatever it holds', () => {
  const durations = new Durations('d_seconds', 'Durations.');
  durations.observe('a"b\\c\nd', 'GET', 200, [1]);
  expect(durations.text()).toContain('service_name="a\\"b\\\\c\\nd",');
});

it.each(['shop', 'other'])('past its bound all is told together, of a service named %s too', service => {
  const durations = new Durations('d_seconds', 'Durations.');
  for (let status = 0; status < 600; status += 1) durations.observe(service, 'GET', status, [1]);
  expect(durations.text().match(/^d_seconds_count/gm)).toHaveLength(501);
  expect(durations.text()).toMatch(/^d_seconds_count\{service_name="other",http_request_method="other".*\} 100$/m);
});
