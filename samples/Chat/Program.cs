// Two people write to each other, as messages on one public stream, until one of them says bye.
using System.Net;
using System.Threading.Channels;
using Kwik.Data;
using Kwik.Samples.Chat;
using Kwik.Sessions;
using Kwik.Streams;

const string Usage = """
    usage: Chat                                  tries both sides on this machine
           Chat listen [ADDRESS:PORT]            default: 127.0.0.1:0
           Chat call ADDRESS:PORT sha256/PIN
    """;

try
{
    switch (args)
    {
        case []:
            return await TryBothAsync();
        case ["listen"] or ["listen", _]:
            await using (KwikListener listener = await ListenAsync(IPEndPoint.Parse(args.ElementAtOrDefault(1) ?? "127.0.0.1:0")))
            {
                Console.WriteLine($"Listening. At the other side: Chat call {listener.LocalEndPoint} {listener.Pin}");
                await using ServerSession session = await listener.AcceptSessionAsync();
                await using KwikStream stream = await ((PrimarySession)session).AcceptStream();
                Console.WriteLine("Somebody is here. To leave: bye");
                await Conversation.RunAsync(stream, Typed(), Console.WriteLine);
            }

            return 0;
        case ["call", string address, string pin]:
            await using (ClientSession session = await CallAsync(IPEndPoint.Parse(address), KeyHash.Parse(pin)))
            {
                await using KwikStream stream = await session.OpenStreamSync();
                Console.WriteLine("Connected. To leave: bye");
                await Conversation.RunAsync(stream, Typed(), Console.WriteLine);
            }

            return 0;
        default:
            Console.Error.WriteLine(Usage);
            return 2;
    }
}
catch (Exception e) when (e is KwikException or FormatException)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}

// What is typed, until the end of the input. The console blocks who reads it, so that it has a thread of its own.
static ChannelReader<string> Typed()
{
    var lines = Channel.CreateUnbounded<string>();
    new Thread(() =>
    {
        while (Console.ReadLine() is { } line)
        {
            lines.Writer.TryWrite(line);
        }

        lines.Writer.Complete();
    })
    { IsBackground = true }.Start();
    return lines.Reader;
}

// Alice calls Bob; each thing happens after the one before it.
static async Task<int> TryBothAsync()
{
    await using KwikListener listener = await ListenAsync(new IPEndPoint(IPAddress.Loopback, 0));
    await using ClientSession calling = await CallAsync(listener.LocalEndPoint, listener.Pin);
    await using ServerSession called = await listener.AcceptSessionAsync();
    await using KwikStream aliceStream = await calling.OpenStreamSync();
    await using KwikStream bobStream = await ((PrimarySession)called).AcceptStream();

    var (aliceTypes, aliceSees) = (Channel.CreateUnbounded<string>(), Channel.CreateUnbounded<string>());
    var (bobTypes, bobSees) = (Channel.CreateUnbounded<string>(), Channel.CreateUnbounded<string>());
    Task alice = Conversation.RunAsync(aliceStream, aliceTypes, line => aliceSees.Writer.TryWrite(line));
    Task bob = Conversation.RunAsync(bobStream, bobTypes, line => bobSees.Writer.TryWrite(line));

    await aliceTypes.Writer.WriteAsync("Hello, Bob.");
    Console.WriteLine($"Bob sees    {await bobSees.Reader.ReadAsync()}");
    await bobTypes.Writer.WriteAsync("Hello, Alice. How are you?");
    Console.WriteLine($"Alice sees  {await aliceSees.Reader.ReadAsync()}");
    await aliceTypes.Writer.WriteAsync(Conversation.Goodbye);
    Console.WriteLine($"Bob sees    {await bobSees.Reader.ReadAsync()}");
    Console.WriteLine($"Bob sees    {await bobSees.Reader.ReadAsync()}");
    await bobTypes.Writer.WriteAsync("Wait!");
    Console.WriteLine($"Bob sees    {await bobSees.Reader.ReadAsync()}");
    await alice;
    await bob;
    return 0;
}

static Task<ClientSession> CallAsync(IPEndPoint address, KeyHash pin) =>
    KwikClient.ConnectAsync(new KwikClientOptions { Primary = address, Pins = [pin] });

static Task<KwikListener> ListenAsync(IPEndPoint endPoint) => KwikListener.ListenAsync(new KwikListenerOptions
{
    Role = ServerRole.Primary,
    ListenEndPoint = endPoint,
    Certificate = KwikCertificate.CreateSelfSigned(["localhost"], TimeSpan.FromDays(1), DateTimeOffset.UtcNow),
});
