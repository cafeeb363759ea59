using System.Security.Cryptography;
using System.Text.Json;
using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Cli.Tests.Commands;

/// <summary>Processes that end in the middle of a fetch, by a signal or without, and the ones that go on.</summary>
public sealed class GetResumeTests : IAsyncLifetime
{
    private const int Leaf = ContentHasher.DefaultLeafSize;
    private const int Length = (200 * Leaf) + 1;

    private readonly TemporaryDirectory _served = new();
    private readonly TemporaryDirectory _here = new();
    private byte[] _bytes = [];
    private bool _slow = true;
    private PrimaryInProcess? _primary;

    private PrimaryInProcess Primary => _primary!;

    public async ValueTask InitializeAsync()
    {
        _bytes = _served.WriteRandom("a", Length);
        _primary = await PrimaryInProcess.StartAsync(_served.Path, catalog => new DistortedContents(
            catalog,
            async (content, offset, buffer, cancellationToken) =>
            {
                if (Volatile.Read(ref _slow))
                {
                    await Task.Delay(TimeSpan.FromMilliseconds(offset > Length * 3L / 4 ? 1000 : 5), TimeProvider.System, cancellationToken);
                }

                return await content.ReadAsync(offset, buffer, cancellationToken);
            }));
    }

    public async ValueTask DisposeAsync()
    {
        await Primary.DisposeAsync();
        _served.Dispose();
        _here.Dispose();
    }

    [Fact]
    public async Task Get_KilledWhileWriting_IsResumedWithTheRightBytes()
    {
        KwikProcess get = StartGet();
        await UntilRecordedAsync();

        await get.SignalAsync("KILL");
        await get.EndAsync();

        await AssertResumedAsync();
    }

    [Fact]
    public async Task Get_KilledTwiceThenResumed_IsRight()
    {
        for (int i = 0; i < 2; i++)
        {
            KwikProcess get = StartGet("--resume");
            DateTime before = File.GetLastWriteTimeUtc(_here["out.kwik-part.state"]);
            await UntilRecordedAsync(before);
            await get.SignalAsync("KILL");
            await get.EndAsync();
        }

        await AssertResumedAsync();
    }

    [Theory]
    [InlineData("INT")]
    [InlineData("TERM")]
    public async Task Get_Interrupted_Is7AndIsResumed(string signal)
    {
        KwikProcess get = StartGet();
        await UntilRecordedAsync();

        await get.SignalAsync(signal);

        (await KwikProcess.RunAsync(get)).AssertInterrupted(7, "--resume goes on");
        Assert.Equal(["out.kwik-part", "out.kwik-part.state"], _here.Entries);
        await AssertResumedAsync();
    }

    [Fact]
    public async Task Get_ServerLost_Is7AndLeavesWhatCanBeResumed()
    {
        KwikProcess get = StartGet();
        await UntilRecordedAsync();

        await Primary.DisposeAsync();

        (await KwikProcess.RunAsync(get)).AssertFailure(7, "--resume goes on");
        Assert.Equal(["out.kwik-part", "out.kwik-part.state"], _here.Entries);
    }

    [Fact]
    public async Task Get_ResumeOfAnotherVersion_FetchesEverythingAndSaysSo()
    {
        KwikProcess get = StartGet();
        await UntilRecordedAsync();
        await get.SignalAsync("INT");
        await KwikProcess.RunAsync(get);
        _bytes = _served.WriteRandom("a", 1000);

        CommandResult result = await ResumeAsync();

        result.AssertSuccess();
        Assert.Contains("all of it was fetched", result.Errors, StringComparison.Ordinal);
        Assert.Equal(_bytes, File.ReadAllBytes(_here["out"]));
        Assert.Equal(["out"], _here.Entries);
    }

    [Fact]
    public async Task Get_ResumeOfNothing_FetchesTheFile()
    {
        CommandResult result = await ResumeAsync("--no-verify-existing");

        result.AssertSuccess();
        Assert.Equal("", result.Errors);
        Assert.Equal(_bytes, File.ReadAllBytes(_here["out"]));
    }

    [Fact]
    public async Task Get_TwoOfOneTarget_TheSecondIs9()
    {
        KwikProcess first = StartGet();
        await UntilRecordedAsync();

        (await KwikProcess.RunAsync(StartGet("--resume"))).AssertFailure(9, "another process");

        Volatile.Write(ref _slow, false);
        (await KwikProcess.RunAsync(first)).AssertSuccess();
        Assert.Equal(_bytes, File.ReadAllBytes(_here["out"]));
    }

    private KwikProcess StartGet(params string[] options) => KwikProcess.Start(
        _here.Path, ["get", Primary.Url("a"), "-o", "out", "--pin", Primary.Pin, "--progress", "none", "--json", .. options]);

    private Task<CommandResult> ResumeAsync(params string[] options)
    {
        Volatile.Write(ref _slow, false);
        return KwikProcess.RunAsync(StartGet(["--resume", .. options]));
    }

    /// <summary>Waits for a record of what is on the disk that is newer than one before.</summary>
    private async Task UntilRecordedAsync(DateTime before = default)
    {
        using var late = new CancellationTokenSource(TestTimeouts.Operation);
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(5), TimeProvider.System);
        while (!File.Exists(_here["out.kwik-part.state"]) || File.GetLastWriteTimeUtc(_here["out.kwik-part.state"]) <= before)
        {
            await timer.WaitForNextTickAsync(late.Token);
        }
    }

    private async Task AssertResumedAsync()
    {
        CommandResult result = await ResumeAsync();

        result.AssertSuccess();
        Assert.Equal(_bytes, File.ReadAllBytes(_here["out"]));
        Assert.Equal(["out"], _here.Entries);
        using JsonDocument json = JsonDocument.Parse(result.Output);
        long resumed = json.RootElement.GetProperty("resumed_bytes").GetInt64();
        Assert.InRange(resumed, Leaf, Length - Leaf);
        Assert.Equal(0, resumed % Leaf);
        Assert.Equal(Length - resumed, json.RootElement.GetProperty("sources").EnumerateArray().Sum(source => source.GetProperty("bytes").GetInt64()));
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(_bytes)), json.RootElement.GetProperty("sha256").GetString());
        Assert.True(json.RootElement.GetProperty("verified").GetBoolean());
    }
}
