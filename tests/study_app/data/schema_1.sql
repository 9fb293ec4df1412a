BEGIN TRANSACTION;
CREATE TABLE arm (
	id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	label VARCHAR NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "arm" VALUES(1,'unguided','Unguided');
INSERT INTO "arm" VALUES(2,'cfg-1.5','Classifier-free, s = 1.5');
INSERT INTO "arm" VALUES(3,'cfg-3','Classifier-free, s = 3');
INSERT INTO "arm" VALUES(4,'clip-1','CLIP, s = 1');
INSERT INTO "arm" VALUES(5,'clip-3','CLIP, s = 3');
CREATE TABLE assignment (
	id INTEGER NOT NULL, 
	uid VARCHAR(32) NOT NULL, 
	rater_id INTEGER NOT NULL, 
	pair_id INTEGER NOT NULL, 
	left_image_id INTEGER NOT NULL, 
	right_image_id INTEGER NOT NULL, 
	assigned_at DATETIME NOT NULL, 
	expires_at DATETIME NOT NULL, 
	lapsed BOOLEAN NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (rater_id, pair_id), 
	UNIQUE (uid), 
	FOREIGN KEY(rater_id) REFERENCES rater (id), 
	FOREIGN KEY(pair_id) REFERENCES pair (id), 
	FOREIGN KEY(left_image_id) REFERENCES image (id), 
	FOREIGN KEY(right_image_id) REFERENCES image (id)
);
INSERT INTO "assignment" VALUES(1,'17b4c8a857a569035f411ed51cac72b2',1,2,6,8,'2000-01-01 00:00:00.000000','2000-01-01 01:00:00.000000',0);
INSERT INTO "assignment" VALUES(2,'a3f580f03f0e5a8efc5485d535d19fe7',2,1,9,1,'2000-01-01 00:00:01.000000','2000-01-01 01:00:01.000000',0);
INSERT INTO "assignment" VALUES(3,'04233fef59d5a9e1dfe7891562ee3b9c',3,4,3,7,'2000-01-01 00:00:02.000000','2000-01-01 01:00:02.000000',0);
INSERT INTO "assignment" VALUES(4,'a725db68a629c59da5fb0a72ff54fcce',1,6,10,4,'2000-01-01 00:01:00.000000','2000-01-01 01:01:00.000000',0);
INSERT INTO "assignment" VALUES(5,'8b09eeb890f04fbfed3d681019007ad9',2,3,2,6,'2000-01-01 00:01:01.000000','2000-01-01 01:01:01.000000',0);
INSERT INTO "assignment" VALUES(6,'e8ceaa9ac8ced68d8248693c3fa9f885',3,8,1,7,'2000-01-01 00:01:02.000000','2000-01-01 01:01:02.000000',0);
INSERT INTO "assignment" VALUES(7,'e37410061014400526f293da902b461f',1,10,6,10,'2000-01-01 00:02:00.000000','2000-01-01 01:02:00.000000',0);
INSERT INTO "assignment" VALUES(8,'2c52c55609e109711d5c73e0166d7131',2,5,5,3,'2000-01-01 00:02:01.000000','2000-01-01 01:02:01.000000',0);
INSERT INTO "assignment" VALUES(9,'b5857cd775780e9b27f00ee3ae0b92a3',3,12,3,5,'2000-01-01 00:02:02.000000','2000-01-01 01:02:02.000000',0);
INSERT INTO "assignment" VALUES(10,'97893666851655b303bd1a32f5d26ca1',4,1,9,1,'2026-11-21 15:59:50.780673','2026-11-21 16:59:50.780673',0);
INSERT INTO "assignment" VALUES(11,'e28487b9be9dac0c37be7241c727a762',4,3,2,6,'2026-11-21 15:59:50.781742','2026-11-21 16:59:50.781742',0);
INSERT INTO "assignment" VALUES(12,'41e2125392347176b4a26d1a75e7e126',4,5,5,3,'2026-11-21 15:59:50.793677','2026-11-21 16:59:50.793677',0);
INSERT INTO "assignment" VALUES(13,'28ebc132fa5820477bc0103388bfe64e',4,7,10,4,'2026-11-21 15:59:50.808617','2026-11-21 16:59:50.808617',0);
INSERT INTO "assignment" VALUES(14,'d6112036798026d5794da5649af75157',4,9,3,7,'2026-11-21 15:59:50.816697','2026-11-21 16:59:50.816697',0);
INSERT INTO "assignment" VALUES(15,'ed98ff13d9b02d003fc638effac96aa9',5,2,6,8,'2026-11-21 15:59:50.820869','2026-11-21 16:59:50.820869',0);
INSERT INTO "assignment" VALUES(16,'11fa36a1bc20a1f6293edba4c30ee66c',5,4,3,7,'2026-11-21 15:59:50.821426','2026-11-21 16:59:50.821426',0);
INSERT INTO "assignment" VALUES(17,'788c8b0302f53ffd5f7cdc6543749ea7',5,6,10,4,'2026-11-21 15:59:50.832212','2026-11-21 16:59:50.832212',0);
CREATE TABLE image (
	id INTEGER NOT NULL, 
	name VARCHAR(32) NOT NULL, 
	arm_id INTEGER NOT NULL, 
	prompt_id VARCHAR NOT NULL, 
	replica INTEGER NOT NULL, 
	caption VARCHAR NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (arm_id, prompt_id, replica), 
	UNIQUE (name), 
	FOREIGN KEY(arm_id) REFERENCES arm (id)
);
INSERT INTO "image" VALUES(1,'bfca9d9f32fdb43f02b4ae8c49bea621',1,'p0000',0,'a large shiny red sphere to the left of a small matte blue cube (0)','39d86d9193e562fced3bab652ffbd5740ed0ac433439356d092f7ed10bf4441f');
INSERT INTO "image" VALUES(2,'1f20ae6465c674268d6863ec0d65dc6b',1,'p0001',0,'a large shiny red sphere to the left of a small matte blue cube (1)','3783f7415afd048efd5fce3935e2ee8c9dfb59aa3d746050a6f007f57a89a16c');
INSERT INTO "image" VALUES(3,'2357ac05916091e15fd4f5794f6d6eb9',2,'p0000',0,'a large shiny red sphere to the left of a small matte blue cube (0)','1dc17d1b855af0ae11b4221177b86224e339035203e159b6c415b7bad4a6fe64');
INSERT INTO "image" VALUES(4,'1e51e84e3306837bf97eb31665cac161',2,'p0001',0,'a large shiny red sphere to the left of a small matte blue cube (1)','04966cdcbfb21b19358a4ae3d1dcfecdf75c9a5f6d373f5756a4e94146f6c495');
INSERT INTO "image" VALUES(5,'42078142613446249226174437255d0e',3,'p0000',0,'a large shiny red sphere to the left of a small matte blue cube (0)','a40b61ed1497e6d59ab85148ee522d9fd6e1c7529207672d4203259d04af00bc');
INSERT INTO "image" VALUES(6,'445bb3292ff70a2ad9f3d9bb4f9db377',3,'p0001',0,'a large shiny red sphere to the left of a small matte blue cube (1)','5cc8e24b27ffb52844b94d6b23a16c0fa6bb314f72822403ee4d2e6d4cbd98da');
INSERT INTO "image" VALUES(7,'f3937881a45ec1fd334151455d31c18e',4,'p0000',0,'a large shiny red sphere to the left of a small matte blue cube (0)','2b4e074a1faa746d1a63e738b18c18c6340829f83d943066183f6a77f9394cf6');
INSERT INTO "image" VALUES(8,'0b672d20d24a4e381e05d6a1c26deb6d',4,'p0001',0,'a large shiny red sphere to the left of a small matte blue cube (1)','442222d52dfb0d35bfd0ab2f109bf002276c1d88c5d1c90d6e500ae8a578ca3a');
INSERT INTO "image" VALUES(9,'c7d9ce331c64a39b792897ed4ec93497',5,'p0000',0,'a large shiny red sphere to the left of a small matte blue cube (0)','9b45248e6db89c4bfe849af42aaadb8ce6139cb6d98058573e8ee5d60829961c');
INSERT INTO "image" VALUES(10,'d1229c33a02aeb6276865e9cec960ca2',5,'p0001',0,'a large shiny red sphere to the left of a small matte blue cube (1)','5ecac098727d7c6f747d8f20e99f89ba8033f4f6a8124779acaab31c126c8dbd');
CREATE TABLE pair (
	id INTEGER NOT NULL, 
	question_id INTEGER NOT NULL, 
	image_a_id INTEGER NOT NULL, 
	image_b_id INTEGER NOT NULL, 
	a_first BOOLEAN NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(question_id) REFERENCES question (id), 
	FOREIGN KEY(image_a_id) REFERENCES image (id), 
	FOREIGN KEY(image_b_id) REFERENCES image (id)
);
INSERT INTO "pair" VALUES(1,1,9,1,1);
INSERT INTO "pair" VALUES(2,2,6,8,1);
INSERT INTO "pair" VALUES(3,1,6,2,0);
INSERT INTO "pair" VALUES(4,2,3,7,1);
INSERT INTO "pair" VALUES(5,1,3,5,0);
INSERT INTO "pair" VALUES(6,2,4,10,0);
INSERT INTO "pair" VALUES(7,1,4,10,0);
INSERT INTO "pair" VALUES(8,2,7,1,0);
INSERT INTO "pair" VALUES(9,1,3,7,1);
INSERT INTO "pair" VALUES(10,2,6,10,1);
INSERT INTO "pair" VALUES(11,1,6,8,1);
INSERT INTO "pair" VALUES(12,2,3,5,1);
CREATE TABLE question (
	id INTEGER NOT NULL, 
	"key" VARCHAR NOT NULL, 
	text VARCHAR NOT NULL, 
	shows_caption BOOLEAN NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE ("key")
);
INSERT INTO "question" VALUES(1,'photorealism','Which image looks more photorealistic?',0);
INSERT INTO "question" VALUES(2,'beauty','Which is prettier?',1);
CREATE TABLE quota (
	pair_id INTEGER NOT NULL, 
	rater_kind VARCHAR(9) NOT NULL, 
	question_id INTEGER NOT NULL, 
	taken INTEGER NOT NULL, 
	draws INTEGER NOT NULL, 
	PRIMARY KEY (pair_id, rater_kind), 
	FOREIGN KEY(pair_id) REFERENCES pair (id), 
	FOREIGN KEY(question_id) REFERENCES question (id)
);
INSERT INTO "quota" VALUES(1,'person',1,1,1);
INSERT INTO "quota" VALUES(1,'simulated',1,1,1);
INSERT INTO "quota" VALUES(2,'person',2,1,1);
INSERT INTO "quota" VALUES(2,'simulated',2,1,1);
INSERT INTO "quota" VALUES(3,'person',1,1,1);
INSERT INTO "quota" VALUES(3,'simulated',1,1,1);
INSERT INTO "quota" VALUES(4,'person',2,1,1);
INSERT INTO "quota" VALUES(4,'simulated',2,1,1);
INSERT INTO "quota" VALUES(5,'person',1,1,1);
INSERT INTO "quota" VALUES(5,'simulated',1,1,1);
INSERT INTO "quota" VALUES(6,'person',2,1,1);
INSERT INTO "quota" VALUES(6,'simulated',2,1,1);
INSERT INTO "quota" VALUES(7,'person',1,1,1);
INSERT INTO "quota" VALUES(7,'simulated',1,0,0);
INSERT INTO "quota" VALUES(8,'person',2,0,0);
INSERT INTO "quota" VALUES(8,'simulated',2,1,1);
INSERT INTO "quota" VALUES(9,'person',1,1,1);
INSERT INTO "quota" VALUES(9,'simulated',1,0,0);
INSERT INTO "quota" VALUES(10,'person',2,0,0);
INSERT INTO "quota" VALUES(10,'simulated',2,1,1);
INSERT INTO "quota" VALUES(11,'person',1,0,0);
INSERT INTO "quota" VALUES(11,'simulated',1,0,0);
INSERT INTO "quota" VALUES(12,'person',2,0,0);
INSERT INTO "quota" VALUES(12,'simulated',2,1,1);
CREATE TABLE rater (
	id INTEGER NOT NULL, 
	public_id VARCHAR NOT NULL, 
	token_hash VARCHAR(64) NOT NULL, 
	kind VARCHAR(9) NOT NULL, 
	share INTEGER NOT NULL, 
	joined_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT known_kind CHECK (kind IN ('person', 'simulated')), 
	UNIQUE (public_id), 
	UNIQUE (token_hash)
);
INSERT INTO "rater" VALUES(1,'simulated-0-0000','simulated-0-0000','simulated',3,'2000-01-01 00:00:00.000000');
INSERT INTO "rater" VALUES(2,'simulated-0-0001','simulated-0-0001','simulated',3,'2000-01-01 00:00:01.000000');
INSERT INTO "rater" VALUES(3,'simulated-0-0002','simulated-0-0002','simulated',3,'2000-01-01 00:00:02.000000');
INSERT INTO "rater" VALUES(4,'r9db0508aca8a','1e1bb060ba6c557494ccbc03da2a652734570e66adbf993020ac280548baf891','person',5,'2026-11-21 15:59:50.751572');
INSERT INTO "rater" VALUES(5,'r1e033400f844','d1d352eb58a3daaf575b49c54aa81e3cd5fe5b6faff374d055bbaaaed87a9918','person',5,'2026-11-21 15:59:50.757106');
CREATE TABLE schema_info (
	application VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	PRIMARY KEY (application)
);
INSERT INTO "schema_info" VALUES('glide-eval study',1);
CREATE TABLE study (
	id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	seed INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	votes_per_pair INTEGER NOT NULL, 
	pairs_per_rater INTEGER NOT NULL, 
	min_seconds DOUBLE NOT NULL, 
	image_size VARCHAR NOT NULL, 
	image_root VARCHAR NOT NULL, 
	password_hash VARCHAR NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "study" VALUES(1,'v1run',3,'2026-11-21 15:59:50.435465',2,5,0.5,'16x16','study_images','scrypt$8823e57e8cc5792d47e7114bec30d404$5343a3c8d5df1b4bc597925b819bc7131d864f9bdf91d3e4f9ec116b82b2b6c56b2a32037e299c7a68a95b95c4a769ffaf8191d74a53f6124236c6519f004bba');
CREATE TABLE vote (
	id INTEGER NOT NULL, 
	assignment_id INTEGER NOT NULL, 
	answer VARCHAR(5) NOT NULL, 
	seconds DOUBLE, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT known_answer CHECK (answer IN ('left', 'right', 'tie')), 
	UNIQUE (assignment_id), 
	FOREIGN KEY(assignment_id) REFERENCES assignment (id)
);
INSERT INTO "vote" VALUES(1,1,'left',3.092,'2000-01-01 00:00:03.092000');
INSERT INTO "vote" VALUES(2,2,'tie',1.272,'2000-01-01 00:00:02.272000');
INSERT INTO "vote" VALUES(3,3,'tie',3.734,'2000-01-01 00:00:05.734000');
INSERT INTO "vote" VALUES(4,4,'left',3.477,'2000-01-01 00:01:03.477000');
INSERT INTO "vote" VALUES(5,5,'tie',1.76,'2000-01-01 00:01:02.760000');
INSERT INTO "vote" VALUES(6,6,'left',2.838,'2000-01-01 00:01:04.838000');
INSERT INTO "vote" VALUES(7,7,'left',3.751,'2000-01-01 00:02:03.751000');
INSERT INTO "vote" VALUES(8,8,'left',2.217,'2000-01-01 00:02:03.217000');
INSERT INTO "vote" VALUES(9,9,'right',7.445,'2000-01-01 00:02:09.445000');
INSERT INTO "vote" VALUES(10,10,'left',1.5,'2026-11-21 15:59:50.793042');
INSERT INTO "vote" VALUES(11,11,'tie',1.5,'2026-11-21 15:59:50.808108');
INSERT INTO "vote" VALUES(12,12,'right',1.5,'2026-11-21 15:59:50.816292');
INSERT INTO "vote" VALUES(13,15,'left',1.5,'2026-11-21 15:59:50.831785');
CREATE INDEX quota_next ON quota (rater_kind, question_id, taken, pair_id);
CREATE INDEX ix_assignment_pair_id ON assignment (pair_id);
CREATE INDEX assignment_lease ON assignment (lapsed, expires_at);
COMMIT;
