using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Applications that do anything they may, at any moment, on any network: both ends of every stream agree.</summary>
public sealed class XStreamRandomTests
{
    private static readonly TimeSpan Bound = TimeSpan.FromMinutes(2);

    [Theory]
    [SimulationSeeds]
    public void Streams_OnALivingConnection_WithAnyCallsAtBothEnds_Agree(int seed) =>
        Run(seed, dies: false);

    [Theory]
    [SimulationSeeds]
    public void Streams_OnAConnectionThatDies_WithAnyCallsAtBothEnds_AgreeAsFarAsTheyCan(int seed) =>
        Run(seed, dies: true);

    private static void Run(int seed, bool dies) => Simulation.Run(
        seed,
        async world =>
        {
            await using var deployment = new SimulatedDeployment(world);
            await new Scene(world, deployment).RunAsync(dies);
        },
        new SimulationOptions { TimeLimit = TimeSpan.FromMinutes(10) });

    private sealed class Scene(SimulatedWorld world, SimulatedDeployment deployment)
    {
        private readonly Random _random = new(world.Seed);
        private readonly Dictionary<long, RandomEnds> _streams = [];
        private readonly TaskCompletionSource _over = new();
        private ClientSession _client = null!;
        private PrimarySession _primary = null!;

        private IEnumerable<RandomEnd> Ends => _streams.Values.SelectMany(ends => ends.All);

        public async Task RunAsync(bool dies)
        {
            try
            {
                await PlayAsync(dies);
            }
            finally
            {
                _over.TrySetResult();
            }
        }

        private async Task PlayAsync(bool dies)
        {
            int count = _random.Next(1, 5);
            await ConnectAsync();
            Task[] accepting = [AcceptAsync(_client.AcceptStream), AcceptAsync(_primary.AcceptStream)];
            Task dying = dies ? DieAsync() : Task.CompletedTask;
            await Within(Task.WhenAll(Enumerable.Range(0, count).Select(_ => OpenAsync())), "opening");
            await Within(dying, "dying");
            await world.Delay(TimeSpan.FromSeconds(5));
            await Within(Task.WhenAll(Ends.ToList().Select(end => end.ActAsync())), "acting");
            await Within(Task.WhenAll(_streams.Values.SelectMany(ends => ends.Concerned(!dies)).Select(end => end.Reading)), "reading");
            await Within(Task.WhenAll(_streams.Values.SelectMany(ends => ends.Told(!dies)).Select(end => end.Hearing)), "hearing");
            if (!dies)
            {
                await world.Delay(TimeSpan.FromSeconds(5));
                // What is aborted at once may never be seen at the other side.
                Assert.All(_streams.Values, ends => Assert.True(ends.Acceptor is not null || ends.Opener?.Ended == RandomEnd.Ending.Aborted));
                foreach (RandomEnds ends in _streams.Values)
                {
                    await ends.CheckSettledAsync();
                }
            }

            await Within(Task.WhenAll(Ends.OrderBy(_ => _random.Next()).ToList().Select(end => end.CloseAsync())), "closing");
            await Within(Task.WhenAll(Ends.Select(end => Task.WhenAll(end.Reading, end.Hearing))), "ending");
            if (!dies)
            {
                await world.Delay(TimeSpan.FromSeconds(5));
                // The control stream is left.
                Assert.All(world.Hosts, host => Assert.Equal(1, host.OpenStreams));
                Assert.All(Ends, end => Assert.InRange(end.CloseTook, TimeSpan.Zero, TimeSpan.FromSeconds(7)));
            }

            foreach (RandomEnds ends in _streams.Values)
            {
                ends.CheckEnd();
            }

            await Within(_client.DisposeAsync().AsTask(), "the client's end");
            _over.SetResult();
            await Within(deployment.DisposeAsync().AsTask(), "the primary's end");
            await Within(Task.WhenAll(accepting), "accepting");
            Assert.Equal(0, deployment.Pool.Outstanding);
            Assert.All(world.Hosts, host => Assert.Equal(0, host.OpenConnections));
        }

        private async Task ConnectAsync()
        {
            AggregatorOptions Aggregation() => new() { MaxPendingBytes = 1L << _random.Next(16, 22) };
            var accepted = new TaskCompletionSource<PrimarySession>();
            await deployment.StartPrimaryAsync(
                null,
                session =>
                {
                    // The session is the scene's to end.
                    accepted.SetResult(session);
                    return _over.Task;
                },
                options => options with { Aggregation = Aggregation() });
            _client = await deployment.ConnectAsync(options => options with { Aggregation = Aggregation() });
            _primary = await accepted.Task;
            double loss = _random.Next(2) * 0.05 * _random.NextDouble();
            world.SetLinks(deployment.ClientHost, deployment.PrimaryHost, link =>
            {
                link.Latency = TimeSpan.FromMilliseconds(_random.Next(80));
                link.Jitter = TimeSpan.FromMilliseconds(_random.Next(2) * _random.Next(20));
                link.BitsPerSecond = _random.Next(3) == 0 ? null : _random.Next(4, 100) * 1_000_000L;
                link.Loss = loss;
            });
        }

        private async Task OpenAsync()
        {
            await world.Delay(TimeSpan.FromMilliseconds(_random.Next(1000)));
            bool isClient = _random.Next(2) == 0;
            try
            {
                KwikStream stream = await (isClient ? _client.OpenStreamSync() : _primary.OpenStreamSync());
                Start(stream);
            }
            catch (KwikException)
            {
                // The connection is dead.
            }
        }

        private async Task AcceptAsync(Func<CancellationToken, Task<KwikStream>> accept)
        {
            try
            {
                while (true)
                {
                    Start(await accept(CancellationToken.None));
                }
            }
            catch (KwikException)
            {
                // The connection is dead.
            }
        }

        private void Start(KwikStream stream)
        {
            bool openedHere = stream.Direction == XStreamDirection.Outbound;
            if (!_streams.TryGetValue(stream.Id, out RandomEnds? ends))
            {
                _streams.Add(stream.Id, ends = new RandomEnds());
            }

            var end = new RandomEnd(world, _random, stream);
            (ends.Opener, ends.Acceptor) = openedHere ? (end, ends.Acceptor) : (ends.Opener, end);
            end.Start();
        }

        private async Task DieAsync()
        {
            await world.Delay(TimeSpan.FromMilliseconds(_random.Next(4000)));
            switch (_random.Next(6))
            {
                case 0:
                    deployment.ClientHost.Kill();
                    break;
                case 1:
                    deployment.PrimaryHost.Kill();
                    break;
                case 2:
                    world.SetLinks(deployment.ClientHost, deployment.PrimaryHost, link => link.BlackHole = true);
                    break;
                case 3:
                    world.Connections[0].Reset(KwikError.Internal);
                    break;
                case 4:
                    Leave(_client);
                    await _client.CloseAsync(_random.Next(2) == 0 ? KwikError.None : KwikError.LimitExceeded, "enough");
                    break;
                default:
                    Leave(_primary);
                    await _primary.CloseAsync(_random.Next(2) == 0 ? KwikError.None : KwikError.LimitExceeded, "enough");
                    break;
            }
        }

        private void Leave(object session)
        {
            foreach ((long id, RandomEnds ends) in _streams)
            {
                // RFC 9000, 2.1: the ids of what a client opened are even.
                ((id & 1) == 0 == session is ClientSession ? ends.Opener : ends.Acceptor)?.OnSessionClosing();
            }
        }

        private async Task Within(Task work, string what)
        {
            try
            {
                await Plain(work).WaitAsync(Bound, world.Time);
            }
            catch (TimeoutException) when (!work.IsCompleted)
            {
                IEnumerable<string> states = Ends.Select(end =>
                    $"{end.Stream.Id} {end.Stream.Direction} {end.Stream.State}, ended: {end.Ended}, completed: {end.Completed}, "
                    + $"acted: {end.ActAsync().IsCompleted}, read: {end.Reading.IsCompleted}, heard: {end.Hearing.IsCompleted}");
                Assert.Fail($"Hangs: {what}{Environment.NewLine}{string.Join(Environment.NewLine, states)}");
            }
        }

        private static async Task Plain(Task work) => await work;
    }
}
